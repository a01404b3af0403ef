// Token strings and their ids, both ways.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "large_pages.hpp"

namespace enfold {

inline uint64_t mix(uint64_t a, uint64_t b) {
  __uint128_t product = __uint128_t(a) * b;
  return uint64_t(product) ^ uint64_t(product >> 64);
}

// A fast hash of a short string (multiply and fold, eight bytes a step).
inline uint64_t hash_bytes(std::string_view text) {
  constexpr uint64_t k0 = 0x9E3779B97F4A7C15, k1 = 0xD6E8FEB86659FD93;
  const char* p = text.data();
  size_t n = text.size();
  uint64_t h = n * k0;
  for (; n >= 8; p += 8, n -= 8) {
    uint64_t word;
    std::memcpy(&word, p, 8);
    h = mix(h ^ word, k1);
  }
  uint64_t tail = 0;
  if (n >= 4) {
    uint32_t a, b;
    std::memcpy(&a, p, 4);
    std::memcpy(&b, p + n - 4, 4);
    tail = uint64_t(a) << 32 | b;
  } else if (n) {
    tail = uint64_t((unsigned char)p[0]) << 16 | uint64_t((unsigned char)p[n >> 1]) << 8 | (unsigned char)p[n - 1];
  }
  return mix(h ^ tail ^ n, k0);
}

class Vocab {
 public:
  // Adds a token; a token that is there already gets the new id, and keeps the old one only as an alias.
  void add(std::string_view token, uint32_t id, bool alias = false);
  void reserve(size_t count);
  // The id, or -1.
  int32_t find(std::string_view token) const {
    if (slots_.empty()) return -1;
    for (size_t at = hash_bytes(token) & mask_;; at = (at + 1) & mask_) {
      uint32_t slot = slots_[at];
      if (slot == 0) return -1;
      const Entry& entry = entries_[slot - 1];
      if (entry.length == token.size() && std::memcmp(arena_.data() + entry.offset, token.data(), token.size()) == 0) return int32_t(entry.id);
    }
  }
  // As find() for each of `words`, of which there are `count`; faster for many, for they wait for memory together.
  void find_many(const std::string_view* words, size_t count, int32_t* ids) const;
  // Has memory fetch all that find() reads for `words`.
  void prefetch(const std::string_view* words, size_t count) const;
  // Has memory fetch the place where `token` is, or will be.
  void prefetch(std::string_view token) const { __builtin_prefetch(&slots_[hash_bytes(token) & mask_]); }
  bool has_id(int64_t id) const { return id >= 0 && size_t(id) < by_id_.size() && by_id_[id]; }
  // The token of an id; empty when there is none.
  std::string_view token(int64_t id) const {
    if (!has_id(id)) return {};
    return view(by_id_[id] - 1);
  }
  size_t size() const { return entries_.size(); }
  // All ids are below this.
  size_t ids() const { return by_id_.size(); }
  size_t longest() const { return longest_; }
  // Calls fn(token, id) for every token in the order of its id.
  template <class Fn>
  void each(Fn fn) const {
    for (size_t id = 0; id < by_id_.size(); ++id)
      if (by_id_[id]) fn(view(by_id_[id] - 1), uint32_t(id));
  }
  size_t bytes() const { return arena_.capacity() + entries_.capacity() * sizeof(Entry) + slots_.capacity() * 4 + by_id_.capacity() * 4; }

 private:
  struct Entry {
    uint32_t offset, length, id;
  };
  std::string_view view(uint32_t entry) const { return {arena_.data() + entries_[entry].offset, entries_[entry].length}; }
  void grow(size_t slots);
  std::string arena_;
  std::vector<Entry> entries_;
  std::vector<uint32_t, LargeAllocator<uint32_t>> slots_;  // entry + 1, or 0
  std::vector<uint32_t> by_id_;  // entry + 1, or 0
  size_t mask_ = 0, longest_ = 0;
};

// A map from pairs of ids to what merging them gives.
class MergeTable {
 public:
  struct Merge {
    uint32_t rank, id;
  };
  static constexpr uint64_t kEmpty = ~uint64_t(0);
  void reserve(size_t count);
  void add(uint32_t left, uint32_t right, Merge merge);
  const Merge* find(uint32_t left, uint32_t right) const {
    uint64_t key = uint64_t(left) << 32 | right, hash = mix(key, 0x9E3779B97F4A7C15), bit = hash >> shift_;
    if (!(filter_[bit >> 6] >> (bit & 63) & 1)) return nullptr;
    for (size_t at = hash & mask_;; at = (at + 1) & mask_) {
      if (slots_[at].key == key) return &slots_[at].merge;
      if (slots_[at].key == kEmpty) return nullptr;
    }
  }

 private:
  struct Slot {
    uint64_t key = kEmpty;
    Merge merge{};
  };
  std::vector<Slot, LargeAllocator<Slot>> slots_ = std::vector<Slot, LargeAllocator<Slot>>(2);
  // A bit for every key, by other bits of its hash: small enough for the processor's caches, it spares most pairs that have
  // no merge the way to the table.
  std::vector<uint64_t> filter_ = std::vector<uint64_t>(1);
  int shift_ = 58;
  size_t mask_ = 1, count_ = 0;
};

}  // namespace enfold
