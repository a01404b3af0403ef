// The tokens that are plain ASCII words of up to 16 characters, found by their bytes in registers.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

#include "tokenizer/vocab.hpp"

namespace enfold {

class WordTable {
 public:
  static constexpr size_t kLongest = 16;
  using Key = unsigned __int128;  // the characters, lowest byte first, zeros behind

  static Key mask(size_t length) { return length >= 16 ? ~Key(0) : (Key(1) << (8 * length)) - 1; }
  static Key load(const char* bytes) {  // reads 16 bytes
    Key key;
    std::memcpy(&key, bytes, 16);
    return key;
  }

  // Room for `count` words.
  explicit WordTable(size_t count = 0) : slots_(std::bit_ceil(count * 2 + 2)), mask_(slots_.size() - 1) {}
  void add(std::string_view word, int32_t id) {
    Key key = 0;
    std::memcpy(&key, word.data(), word.size());
    Slot* slot = &slots_[place(key)];
    while (slot->id >= 0) slot = &slots_[size_t(slot - slots_.data() + 1) & mask_];
    *slot = {uint64_t(key), uint64_t(key >> 64), id, 0};
    uint16_t length = uint16_t(1u << (word.size() - 1));
    if (word.size() > 1) lengths_[symbols(key)] |= length;
    else for (size_t second = 0; second < 64; ++second) lengths_[second << 6 | symbol((unsigned char)word[0])] |= length;
  }
  // The id of the word, or -1.
  int32_t find(Key key) const { return find(key, place(key)); }
  // As find(key), from where prefetch() said that the word is to be looked for.
  int32_t find(Key key, size_t at) const {
    for (;; at = (at + 1) & mask_) {
      const Slot& slot = slots_[at];
      if (slot.low == uint64_t(key) && slot.high == uint64_t(key >> 64)) [[likely]] return slot.id;
      if (slot.id < 0) return -1;
    }
  }
  // Has memory fetch the word's place, and returns it.
  size_t prefetch(Key key) const {
    size_t at = place(key);
    __builtin_prefetch(&slots_[at]);
    return at;
  }
  // The longest word that begins `key`, of at most `length` characters; its length then is in `length`. -1 for none.
  int32_t longest(Key key, size_t& length) const {
    for (unsigned lengths = lengths_[symbols(key)] & ((1u << length) - 1); lengths;) {
      length = size_t(std::bit_width(lengths));
      lengths ^= 1u << (length - 1);
      if (int32_t id = find(key & mask(length)); id >= 0) return id;
    }
    return -1;
  }

 private:
  struct Slot {
    uint64_t low = 0, high = 0;
    int32_t id = -1, unused = 0;
  };
  size_t place(Key key) const { return mix(uint64_t(key) ^ 0x9E3779B97F4A7C15, uint64_t(key >> 64) ^ 0xD6E8FEB86659FD93) & mask_; }
  // Six bits of a character. Some share a value: then a length too many is tried.
  static unsigned symbol(unsigned char c) { return c & 63u; }
  static unsigned symbols(Key key) { return symbol((unsigned char)(key >> 8)) << 6 | symbol((unsigned char)key); }

  std::vector<Slot> slots_;
  size_t mask_;
  std::array<uint16_t, 4096> lengths_{};  // by the first two characters: a bit for each length of the words
};

}  // namespace enfold
