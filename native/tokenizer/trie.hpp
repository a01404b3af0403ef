// A set of byte strings with a number each, found by walking one byte at a time: a double array.
// Aoe (1989), "An efficient digital search algorithm by using a double-array structure"; children by exclusive or.
#pragma once

#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

namespace enfold {

class Trie {
 public:
  static constexpr uint32_t kMost = (1u << 24) - 2;  // the largest number of a key

  // A node: where its children begin, its own byte, and the number of the key that ends here.
  struct Unit {
    uint32_t base = 0;
    uint32_t packed = 0xFF;  // label in the low eight bits, number + 1 above them
    unsigned char label() const { return (unsigned char)packed; }
    bool ends() const { return packed > 0xFF; }
    uint32_t number() const { return (packed >> 8) - 1; }
  };

  Trie() = default;
  // Keys that are empty are left out; of equal keys the last one counts. Numbers must not exceed kMost.
  explicit Trie(std::vector<std::pair<std::string_view, uint32_t>> keys);

  uint32_t root() const { return root_; }
  // The node behind `byte`; null when no key goes on like this.
  const Unit* step(uint32_t base, unsigned char byte) const {
    const Unit* unit = units_.data() + (base ^ byte);
    return unit->label() == byte ? unit : nullptr;
  }
  size_t bytes() const { return units_.capacity() * sizeof(Unit); }

 private:
  struct Builder;
  std::vector<Unit> units_ = std::vector<Unit>(256);
  uint32_t root_ = 0;
};

}  // namespace enfold
