// Remembers the tokens of words. Bounded: what is in the way is overwritten, or all is forgotten.
#pragma once

#include <cstdint>
#include <cstring>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/model.hpp"

namespace enfold {

class WordCache {
 public:
  static constexpr size_t kLongest = 96;  // longer words are not remembered

  WordCache();
  // Appends the tokens of `word` to `out` and returns true, when they are known.
  // `room` says that sixteen bytes may be read at word.data().
  bool find(std::string_view word, bool room, std::vector<int32_t>& out) {
    if (word.size() > kInline) return word.size() <= kLongest && find_long(word, out);
    Key key = make_key(word, room);
    Slot* slot = &slots_[2 * (hash(key) & (kSets - 1))];
    for (int way = 0; way < 2; ++way, ++slot)
      if (slot->key == key) {
        size_t count = 1 + (slot->ids[1] >= 0) + (slot->ids[2] >= 0) + (slot->ids[3] >= 0);
        size_t at = out.size();
        out.resize(at + 4);  // four stores without a branch, then the right size
        std::memcpy(out.data() + at, slot->ids, 16);
        out.resize(at + count);
        return true;
      }
    return find_long(word, out);  // short, but of many tokens
  }
  void put(std::string_view word, const int32_t* ids, size_t count);
  size_t bytes() const;

 private:
  static constexpr size_t kInline = 15, kSets = 1 << 14, kArena = 1 << 20;
  struct Key {
    uint64_t low, high;
    bool operator==(const Key&) const = default;
  };
  struct Slot {
    Key key;
    int32_t ids[4];
  };
  struct LongSlot {
    uint64_t hash = 0;
    uint32_t key = 0, length = 0, ids = 0, count = 0;
  };
  static Key make_key(std::string_view word, bool room) {
    Key key{0, 0};
    size_t n = word.size();
    if (room) {
      std::memcpy(&key, word.data(), 16);
      if (n <= 8) {
        key.low = n == 8 ? key.low : n == 0 ? 0 : key.low & (~uint64_t(0) >> (64 - 8 * n));
        key.high = 0;
      } else {
        key.high &= ~uint64_t(0) >> (128 - 8 * n);
      }
    } else {
      std::memcpy(&key, word.data(), n);
    }
    key.high |= uint64_t(n + 1) << 56;
    return key;
  }
  static uint64_t hash(Key key) { return mix(key.low ^ 0x9E3779B97F4A7C15, key.high ^ 0xD6E8FEB86659FD93); }
  bool find_long(std::string_view word, std::vector<int32_t>& out) const;
  void put_long(std::string_view word, const int32_t* ids, size_t count);

  std::vector<Slot> slots_;
  std::vector<LongSlot> long_;
  std::string keys_;
  std::vector<int32_t> ids_;
  size_t long_count_ = 0;
  uint32_t turn_ = 0;
};

// What one thread needs while it encodes.
struct Scratch {
  WordCache cache;
  std::vector<Piece> pieces;
  std::vector<int32_t> ids, first, second;
  std::string buffer, mapped;
};

// Scratches at rest. Taking one never waits: whoever finds the pool busy makes a new one.
struct ScratchPool {
  std::unique_ptr<Scratch> take();
  void give(std::unique_ptr<Scratch> scratch);
  static constexpr size_t kKeep = 64;

 private:
  std::mutex mutex_;
  std::vector<std::unique_ptr<Scratch>> idle_;
};

}  // namespace enfold
