#include "tokenizer/trie.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

namespace enfold {
namespace {

struct Key {
  uint64_t head;  // the first eight bytes, the first one highest: comparing it compares them
  uint32_t number, order;
  std::string_view text;
};

uint64_t head_of(std::string_view text) {
  uint64_t head = 0;
  for (size_t i = 0; i < 8; ++i) head = head << 8 | (i < text.size() ? (unsigned char)text[i] : 0);
  return head;
}

}  // namespace

// Puts every node's children at places that are free, in blocks of 256. No two nodes share a base, so that a label alone
// tells whose child a unit is.
struct Trie::Builder {
  struct Block {
    std::array<uint64_t, 4> used{}, based{};
    uint32_t free = 256;
    bool is_free(uint32_t at) const { return !(used[at >> 6] >> (at & 63) & 1); }
  };
  std::vector<Unit>& units;
  std::vector<Key>& keys;
  std::vector<Block> blocks;
  std::vector<uint32_t> open;  // blocks that still have room, the newest last

  void add_block() {
    uint32_t index = uint32_t(blocks.size());
    blocks.emplace_back();
    units.resize(units.size() + 256);
    open.push_back(index);
  }

  // A base for children with these labels, all of whose places become theirs.
  uint32_t place(const unsigned char* labels, size_t count) {
    for (size_t tried = 0, i = open.size(); i-- > 0 && tried < 12; ++tried) {
      uint32_t index = open[i];
      Block& block = blocks[index];
      if (block.free < count) continue;
      for (uint32_t word = 0; word < 4; ++word) {
        // Every free place in turn for the first child says what the base would be.
        for (uint64_t free = ~block.used[word]; free; free &= free - 1) {
          uint32_t base = (word * 64 + uint32_t(std::countr_zero(free))) ^ labels[0];
          if (block.based[base >> 6] >> (base & 63) & 1) continue;
          size_t fits = 1;
          while (fits < count && block.is_free(base ^ labels[fits])) ++fits;
          if (fits == count) return take(index, base, labels, count);
        }
      }
    }
    if (open.size() > 24) open.erase(open.begin(), open.begin() + 12);
    add_block();
    return take(uint32_t(blocks.size() - 1), 0, labels, count);
  }

  uint32_t take(uint32_t index, uint32_t base, const unsigned char* labels, size_t count) {
    Block& block = blocks[index];
    block.based[base >> 6] |= uint64_t(1) << (base & 63);
    for (size_t i = 0; i < count; ++i) {
      uint32_t at = base ^ labels[i];
      block.used[at >> 6] |= uint64_t(1) << (at & 63);
      units[index * 256 + at].packed = labels[i];
    }
    if ((block.free -= uint32_t(count)) == 0) std::erase(open, index);
    return index * 256 + base;
  }

  // The children of the node that the keys [begin, end) share their first `depth` bytes with; all are longer than that.
  uint32_t children(size_t begin, size_t end, size_t depth) {
    unsigned char labels[256];
    size_t count = 0;
    for (size_t i = begin; i < end; ++i) {
      unsigned char byte = (unsigned char)keys[i].text[depth];
      if (count == 0 || labels[count - 1] != byte) labels[count++] = byte;
    }
    return place(labels, count);
  }

  void build(uint32_t& root) {
    struct Task {
      size_t begin, end, depth;
      uint32_t base;
    };
    std::vector<Task> tasks;
    root = children(0, keys.size(), 0);
    tasks.push_back({0, keys.size(), 0, root});
    while (!tasks.empty()) {
      Task task = tasks.back();
      tasks.pop_back();
      for (size_t from = task.begin; from < task.end;) {
        unsigned char byte = (unsigned char)keys[from].text[task.depth];
        size_t to = from;
        while (to < task.end && (unsigned char)keys[to].text[task.depth] == byte) ++to;
        uint32_t at = task.base ^ byte;
        // The shortest key comes first: if it ends here, this node is its end.
        size_t inner = from;
        if (keys[from].text.size() == task.depth + 1) units[at].packed = (keys[inner++].number + 1) << 8 | byte;
        if (inner < to) {
          uint32_t base = children(inner, to, task.depth + 1);
          units[at].base = base;
          tasks.push_back({inner, to, task.depth + 1, base});
        }
        from = to;
      }
    }
  }
};

Trie::Trie(std::vector<std::pair<std::string_view, uint32_t>> given) {
  std::vector<Key> keys;
  keys.reserve(given.size());
  for (auto [text, number] : given)
    if (!text.empty()) keys.push_back({head_of(text), number, uint32_t(keys.size()), text});
  // In the block of base 0, which leaves point to, no unit has the label that would lead to it.
  for (uint32_t i = 0; i < 256; ++i) units_[i].packed = (i + 1) & 0xFF;
  if (keys.empty()) return;
  std::sort(keys.begin(), keys.end(), [](const Key& a, const Key& b) {
    if (a.head != b.head) return a.head < b.head;
    int order = a.text.compare(b.text);
    return order != 0 ? order < 0 : a.order > b.order;
  });
  keys.erase(std::unique(keys.begin(), keys.end(), [](const Key& a, const Key& b) { return a.text == b.text; }), keys.end());
  Builder builder{units_, keys, {}, {}};
  builder.blocks.emplace_back();  // the block of base 0, never open
  builder.build(root_);
}

}  // namespace enfold
