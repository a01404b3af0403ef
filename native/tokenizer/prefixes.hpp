// Of a set of byte strings with a number each, those that a text begins with.
//
// Keys are sorted into parts by their first byte; where most begin alike, as with a blank or the mark that stands for one,
// by the byte behind that. Each part becomes a trie when a text first asks for it: a double array that is walked a byte at
// a time, down to where one key alone is left, whose rest is compared as a whole.
// Aoe (1989), "An efficient digital search algorithm by using a double-array structure"; children by exclusive or.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/once.hpp"

namespace enfold {

class Prefixes {
 public:
  static constexpr uint32_t kMost = (1u << 24) - 2;  // the largest number of a key

  Prefixes() = default;
  // The key of number i is bytes[starts[i], starts[i + 1]); there is none where that is empty. Of equal keys the last one
  // counts. `lead`, at most three bytes, is what many keys begin with.
  Prefixes(std::string bytes, std::vector<uint32_t> starts, std::string_view lead);

  std::string_view key(uint32_t number) const { return {bytes_.data() + starts_[number], starts_[number + 1] - starts_[number]}; }

  // Calls found(length, number) for every key that begins `text`, which is not empty; the shortest first.
  template <class Found>
  void each(std::string_view text, Found found) const {
    const Part& part = part_of(text);
    for (uint32_t i = 0; i < part.count; ++i) found(size_t(part.lengths[i]), part.numbers[i]);
    uint32_t base = part.root;
    const Unit* units = part.units.data();
    for (size_t at = part.depth; at < text.size();) {
      auto byte = (unsigned char)text[at];
      const Unit& unit = units[base ^ byte];
      if (unit.label() != byte) return;
      ++at;
      if (unit.ends()) found(at, unit.number());
      base = unit.base;
      if (!(base & kTail)) continue;
      if (at < text.size() && ((unsigned char)text[at] & 0x7F) == (base >> 24 & 0x7F)) {
        std::string_view rest = key(base & 0xFFFFFF);
        if (rest.size() <= text.size() && std::memcmp(rest.data() + at, text.data() + at, rest.size() - at) == 0) found(rest.size(), base & 0xFFFFFF);
      }
      return;
    }
  }

 private:
  // A node: where its children begin, its own byte, and the number of the key that ends here. Where one longer key alone
  // goes on from here, its number and the low bits of its next byte stand in the place of children.
  struct Unit {
    uint32_t base = 0;
    uint32_t packed = 0xFF;  // label in the low eight bits, number + 1 above them
    unsigned char label() const { return (unsigned char)packed; }
    bool ends() const { return packed > 0xFF; }
    uint32_t number() const { return (packed >> 8) - 1; }
  };
  static constexpr uint32_t kTail = uint32_t(1) << 31;
  struct Part {
    uint32_t depth = 1;  // how many bytes all its texts share
    uint32_t root = 0;
    uint32_t count = 0;  // of the keys that are no longer than that
    std::array<uint32_t, 4> lengths{}, numbers{};
    std::vector<Unit> units;
  };
  struct Builder;
  static constexpr size_t kParts = 512;

  size_t index_of(std::string_view text) const {
    if (text[0] != lead_[0] || text.size() <= width_) return (unsigned char)text[0];
    for (size_t i = 1; i < width_; ++i)
      if (text[i] != lead_[i]) return (unsigned char)text[0];
    return 256 + (unsigned char)text[width_];
  }
  const Part& part_of(std::string_view text) const {
    size_t index = index_of(text);
    return parts_[index].get([&] { return make(index); });
  }
  Part make(size_t index) const;

  std::string bytes_;
  std::array<char, 3> lead_{};
  size_t width_ = 1;  // of the lead
  std::vector<uint32_t> starts_;
  std::vector<uint32_t> order_;             // the numbers of the keys, part by part
  std::array<uint32_t, kParts + 1> from_{};  // where those of a part begin
  std::unique_ptr<Once<Part>[]> parts_;
};

}  // namespace enfold
