#include "tokenizer/trie.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <utility>

namespace enfold {
namespace {

struct Key {
  uint64_t head;  // the first eight bytes, the first one highest: comparing it compares them
  uint32_t number, order;
  std::string_view text;
  unsigned char byte(size_t at) const { return (unsigned char)(at < 8 ? head >> (56 - 8 * at) : uint64_t((unsigned char)text[at])); }
};

uint64_t head_of(std::string_view text) {
  uint64_t head = 0;
  for (size_t i = 0; i < 8; ++i) head = head << 8 | (i < text.size() ? (unsigned char)text[i] : 0);
  return head;
}

// In the order of their texts; of equal ones the last one given comes first. By their heads a byte at a time, the lowest
// first; then those that share one.
void sort(std::vector<Key>& keys) {
  struct Place {
    uint64_t head;
    uint32_t key;
  };
  std::vector<Place> places(keys.size()), moved(keys.size());
  std::vector<std::array<uint32_t, 256>> counts(8);
  for (uint32_t i = 0; i < keys.size(); ++i) {
    places[i] = {keys[i].head, i};
    for (size_t byte = 0; byte < 8; ++byte) ++counts[byte][keys[i].head >> (8 * byte) & 255];
  }
  for (size_t byte = 0; byte < 8; ++byte) {
    if (counts[byte][places[0].head >> (8 * byte) & 255] == keys.size()) continue;
    uint32_t sum = 0;
    for (uint32_t& count : counts[byte]) sum += std::exchange(count, sum);
    for (const Place& place : places) moved[counts[byte][place.head >> (8 * byte) & 255]++] = place;
    places.swap(moved);
  }
  std::vector<Key> sorted;
  sorted.reserve(keys.size());
  for (const Place& place : places) sorted.push_back(keys[place.key]);
  for (auto begin = sorted.begin(); begin != sorted.end();) {
    auto end = begin + 1;
    while (end != sorted.end() && end->head == begin->head) ++end;
    if (end - begin > 1)
      std::sort(begin, end, [](const Key& a, const Key& b) {
        int order = a.text.compare(b.text);
        return order != 0 ? order < 0 : a.order > b.order;
      });
    begin = end;
  }
  keys.swap(sorted);
}

}  // namespace

// Puts every node's children at places that are free, in blocks of 256. No two nodes share a base, so that a label alone
// tells whose child a unit is.
struct Trie::Builder {
  struct Block {
    std::array<uint64_t, 4> used{}, based{};
    uint32_t free = 256, failed = 0;
  };
  static constexpr uint32_t kPatience = 8;  // a block in which so many have found no place is left alone
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

  // The bits of `set` at the places that exclusive or with `label`, below 64, leads to.
  static uint64_t exchange(uint64_t set, unsigned label) {
    auto step = [&](unsigned bit, uint64_t low) {
      uint64_t swapped = (set & low) << bit | (set >> bit & low);
      set ^= (set ^ swapped) & (0 - uint64_t((label & bit) != 0));  // without a guess
    };
    step(1, 0x5555555555555555);
    step(2, 0x3333333333333333);
    step(4, 0x0F0F0F0F0F0F0F0F);
    step(8, 0x00FF00FF00FF00FF);
    step(16, 0x0000FFFF0000FFFF);
    step(32, 0x00000000FFFFFFFF);
    return set;
  }

  // As place(), for an only child: nearly every free place will do.
  uint32_t place_one(unsigned char label) {
    for (size_t tried = 0, i = open.size(); i-- > 0 && tried < 6; ++tried) {
      Block& block = blocks[open[i]];
      for (uint32_t word = 0; word < 4; ++word)
        for (uint64_t free = ~block.used[word]; free; free &= free - 1) {
          uint32_t base = (word * 64 + uint32_t(std::countr_zero(free))) ^ label;
          if (!(block.based[base >> 6] >> (base & 63) & 1)) return take(open[i], base, &label, 1);
        }
    }
    return place(&label, 1);
  }

  // A base for children with these labels, all of whose places become theirs.
  uint32_t place(const unsigned char* labels, size_t count) {
    for (size_t tried = 0, i = open.size(); i-- > 0 && tried < (count > 4 ? 2 : 6); ++tried) {
      uint32_t index = open[i];
      Block& block = blocks[index];
      if (block.free >= count) {
        for (uint32_t word = 0; word < 4; ++word) {
          uint64_t bases = ~block.based[word];  // those of these 64 that suit every child
          for (size_t child = 0; child < count && bases; ++child) bases &= exchange(~block.used[word ^ labels[child] >> 6], labels[child] & 63);
          if (bases) return take(index, word * 64 + uint32_t(std::countr_zero(bases)), labels, count);
        }
      }
      if (++block.failed >= kPatience) open.erase(open.begin() + std::ptrdiff_t(i));
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
      unsigned char byte = keys[i].byte(depth);
      if (count == 0 || labels[count - 1] != byte) labels[count++] = byte;
    }
    return place(labels, count);
  }

  // The nodes of a key from its byte `depth` on, behind the node `at` that is its alone from there.
  void chain(uint32_t at, const Key& key, size_t depth) {
    for (; depth < key.text.size(); ++depth) {
      unsigned char label = key.byte(depth);
      uint32_t base = place_one(label);
      units[at].base = base;
      at = base ^ label;
    }
    units[at].packed = (key.number + 1) << 8 | units[at].label();
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
        unsigned char byte = keys[from].byte(task.depth);
        size_t to = from;
        while (to < task.end && keys[to].byte(task.depth) == byte) ++to;
        uint32_t at = task.base ^ byte;
        // The shortest key comes first: if it ends here, this node is its end.
        size_t inner = from;
        if (keys[from].text.size() == task.depth + 1) units[at].packed = (keys[inner++].number + 1) << 8 | byte;
        if (to - inner == 1) {
          chain(at, keys[inner], task.depth + 1);
        } else if (inner < to) {
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
  sort(keys);
  keys.erase(std::unique(keys.begin(), keys.end(), [](const Key& a, const Key& b) { return a.text == b.text; }), keys.end());
  units_.reserve(keys.size() * 3 + 1024);
  Builder builder{units_, keys, {}, {}};
  builder.blocks.emplace_back();  // the block of base 0, never open
  builder.build(root_);
}

}  // namespace enfold
