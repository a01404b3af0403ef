// Remembers the tokens of words. Bounded: what is in the way is overwritten, or all is forgotten.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/model.hpp"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace enfold {

// Short words of few tokens lie in pairs that share a cache line; a full pair sends newcomers to its neighbour, and a full
// neighbour to the long words, or in the place of others where the table does not grow any more. The table doubles while it is more than half full, up to kMost entries: 32 bytes each,
// 16 MiB for each thread that encodes, and 22 MiB for long words, all of which are forgotten when that is full. The longest,
// parts of sentences in scripts without blanks, are remembered when they come up a second time.
class WordCache {
 public:
  static constexpr size_t kLongest = 256;  // longer words are not remembered
  static constexpr size_t kInline = 15;   // bytes of a short word
  static constexpr size_t kMost = size_t(1) << 19;

  struct Key {
    uint64_t low, high;
    bool operator==(const Key&) const = default;
  };
  struct Slot {
    Key key;
    int32_t ids[4];  // -1 behind the last
    size_t count() const {
#if defined(__SSE2__)
      int signs = _mm_movemask_ps(_mm_castsi128_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(ids))));
      return size_t(__builtin_ctz(unsigned(signs) | 16));
#else
      return 1 + (ids[1] >= 0) + (ids[2] >= 0) + (ids[3] >= 0);
#endif
    }
  };

  // `most`: how many short words are remembered, rounded to a power of two, and how many long ones; 0 for none.
  explicit WordCache(size_t most = kMost);
  // Appends the tokens of `word` to `out` and returns true, when they are known.
  // `room` says that sixteen bytes may be read at word.data().
  bool find(std::string_view word, bool room, std::vector<int32_t>& out) {
    if (word.size() > kInline) return word.size() <= kLongest && find_long(word, out);
    Key key = make_key(word, room);
    if (const Slot* slot = find(key, hash(key))) {
      out.insert(out.end(), slot->ids, slot->ids + slot->count());
      return true;
    }
    return find_long(word, out);  // short, but of many tokens
  }
  void put(std::string_view word, const int32_t* ids, size_t count);
  // The same for parts of words, which are remembered beside words and apart from them; only short ones of few tokens are.
  const Slot* find_part(std::string_view part, bool room) const {
    Key key = part_key(part, room);
    return find(key, hash(key));
  }
  void put_part(std::string_view part, const int32_t* ids, size_t count);
  size_t bytes() const;

  // The same in steps, for words of at most kInline bytes: key, hash, prefetch, and what is known of it, or null.
  static Key make_key(std::string_view word, bool room) {
    Key key{0, 0};
    size_t n = word.size();
    if (room) {
      std::memcpy(&key, word.data(), 16);
      key.low &= kMasks[n].low;
      key.high &= kMasks[n].high;
    } else {
      std::memcpy(&key, word.data(), n);
    }
    key.high |= uint64_t(n + 1) << 56;
    return key;
  }
  static uint64_t hash(Key key) { return mix(key.low ^ 0x9E3779B97F4A7C15, key.high ^ 0xD6E8FEB86659FD93); }
  void prefetch(uint64_t hash) const { __builtin_prefetch(pair(hash)); }
  const Slot* find(Key key, uint64_t hash) const {
    const Slot* slot = pair(hash);
    slot += same(slot[1].key, key);  // which of the two is not to be guessed
    if (same(slot->key, key)) [[likely]] return slot;
    if (pair(hash)[1].key.high == 0) return nullptr;
    slot = pair(hash ^ 1);
    slot += same(slot[1].key, key);
    return same(slot->key, key) ? slot : nullptr;
  }
  static Key part_key(std::string_view part, bool room) {
    Key key = make_key(part, room);
    key.high |= uint64_t(1) << 63;
    return key;
  }
  // For longer words.
  static uint64_t hash_long(std::string_view word) { return hash_bytes(word) | 1; }
  void prefetch_long(uint64_t hash) const { __builtin_prefetch(&long_[hash >> 8 & (long_.size() - 1)]); }
  bool find_long(std::string_view word, uint64_t hash, std::vector<int32_t>& out) const;
  bool find_long(std::string_view word, std::vector<int32_t>& out) const { return find_long(word, hash_long(word), out); }

 private:
  static constexpr size_t kTwice = 32, kSeen = size_t(1) << 18;  // words longer than kTwice have to come twice
  static constexpr size_t kFirst = size_t(1) << 14, kArena = size_t(16) << 20, kMostLong = size_t(1) << 18;
  struct LongSlot {
    uint64_t hash = 0;
    uint32_t key = 0, length = 0, ids = 0, count = 0;
  };
  static bool same(const Key& a, const Key& b) { return ((a.low ^ b.low) | (a.high ^ b.high)) == 0; }
  // Those of the first n bytes.
  static constexpr std::array<Key, kInline + 1> kMasks = [] {
    std::array<Key, kInline + 1> made{};
    for (size_t n = 0; n <= kInline; ++n) {
      made[n].low = n >= 8 ? ~uint64_t(0) : (uint64_t(1) << 8 * n) - 1;
      made[n].high = n <= 8 ? 0 : (uint64_t(1) << (8 * n - 64)) - 1;
    }
    return made;
  }();
  struct Free {
    size_t bytes;
    Free() : bytes(0) {}
    explicit Free(size_t bytes) : bytes(bytes) {}
    void operator()(Slot* slots) const;
  };
  const Slot* pair(uint64_t hash) const { return slots_.get() + 2 * (hash & mask_); }
  void allocate(size_t entries);
  bool insert(const Slot& made);
  void replace(const Slot& made);
  void grow();
  LongSlot* free_place(uint64_t hash);
  static Slot slot_of(Key key, const int32_t* ids, size_t count);
  bool put_short(Key key, const int32_t* ids, size_t count);
  void put_long(std::string_view word, const int32_t* ids, size_t count);

  std::unique_ptr<Slot, Free> slots_;
  size_t most_, mask_ = 0, entries_ = 0, count_ = 0;
  std::vector<LongSlot> long_;
  std::string keys_;
  std::vector<int32_t> ids_;
  std::vector<uint16_t> seen_;  // some bits of the hashes of words that came once
  size_t long_count_ = 0;
  uint32_t turn_ = 0;
};

// What one thread needs while it encodes.
struct Scratch {
  explicit Scratch(size_t words = WordCache::kMost) : cache(words) {}
  WordCache cache;
  std::vector<Piece> pieces;
  std::vector<int32_t> ids, first, second;
  std::string buffer, mapped;
};

// Scratches at rest. Taking one never waits: whoever finds the pool busy makes a new one.
struct ScratchPool {
  explicit ScratchPool(std::shared_ptr<const CachePolicy> policy = nullptr) : policy_(std::move(policy)) {}
  std::unique_ptr<Scratch> take();
  void give(std::unique_ptr<Scratch> scratch);
  static constexpr size_t kKeep = 64;

 private:
  std::shared_ptr<const CachePolicy> policy_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<Scratch>> idle_;
  uint64_t age_ = 0;
};

}  // namespace enfold
