// Distinct words and how often each was seen. Memory grows with the distinct words alone.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/vocab.hpp"

namespace enfold {

// Words of up to fifteen bytes lie in their slots, so that counting one again touches a single cache line.
class WordMap {
 public:
  WordMap() : slots_(size_t(1) << 10) {}

  // `room` says that sixteen bytes may be read at word.data(). Empty words are not counted.
  void add(std::string_view word, bool room, uint64_t count) {
    if (word.size() > kInline) return add_long(word, count);
    if (word.empty()) return;
    Slot key = pack(word, room);
    size_t mask = slots_.size() - 1;
    for (size_t at = hash(key) & mask;; at = (at + 1) & mask) {
      Slot& slot = slots_[at];
      if (slot.low == key.low && slot.high == key.high) {
        slot.count += count;
        return;
      }
      if (slot.high == 0) {
        slot = {key.low, key.high, count};
        if (++short_ * 2 > slots_.size()) grow();
        return;
      }
    }
  }
  void add(std::string_view word, uint64_t count = 1) { add(word, false, count); }

  size_t size() const { return short_ + long_.size(); }

  // Calls fn(word, count) for every word, in no particular order. The views live as long as the map is left alone.
  template <class Fn>
  void each(Fn fn) const {
    for (const Slot& slot : slots_)
      if (slot.high) fn(std::string_view(reinterpret_cast<const char*>(&slot), (slot.high >> 56) - 1), slot.count);
    for (const Long& word : long_) fn(view(word), word.count);
  }
  // As each, for the words of one of `shards` parts of all words; equal words are in equal parts.
  template <class Fn>
  void each(size_t shard, size_t shards, Fn fn) const {
    for (const Slot& slot : slots_)
      if (slot.high && (hash(slot) >> 32) % shards == shard)
        fn(std::string_view(reinterpret_cast<const char*>(&slot), (slot.high >> 56) - 1), slot.count);
    for (const Long& word : long_)
      if ((word.hash >> 32) % shards == shard) fn(view(word), word.count);
  }

 private:
  static constexpr size_t kInline = 15;
  struct Slot {
    uint64_t low = 0, high = 0;  // the bytes, and in the last one the length + 1
    uint64_t count = 0;
  };
  struct Long {
    uint64_t hash, offset, count;
    uint32_t length;
  };
  static Slot pack(std::string_view word, bool room) {
    uint64_t key[2] = {0, 0};
    size_t n = word.size();
    if (room) {
      std::memcpy(key, word.data(), 16);
      if (n <= 8) {
        key[0] &= ~uint64_t(0) >> (64 - 8 * n);
        key[1] = 0;
      } else {
        key[1] &= ~uint64_t(0) >> (128 - 8 * n);
      }
    } else {
      std::memcpy(key, word.data(), n);
    }
    return {key[0], key[1] | uint64_t(n + 1) << 56, 0};
  }
  static uint64_t hash(const Slot& key) { return mix(key.low ^ 0x9E3779B97F4A7C15, key.high ^ 0xD6E8FEB86659FD93); }
  std::string_view view(const Long& word) const { return {arena_.data() + word.offset, word.length}; }
  void add_long(std::string_view word, uint64_t count);
  void grow();

  std::vector<Slot> slots_;
  size_t short_ = 0;
  std::vector<Long> long_;
  std::vector<uint32_t> long_slots_;  // index into long_ + 1, or 0
  std::string arena_;
};

struct WordCount {
  std::string_view word;
  uint64_t count;
};

}  // namespace enfold
