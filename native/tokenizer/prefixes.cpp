#include "tokenizer/prefixes.hpp"

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
  if (text.size() >= 8) {
    std::memcpy(&head, text.data(), 8);
    if constexpr (std::endian::native == std::endian::little) head = __builtin_bswap64(head);
    return head;
  }
  for (size_t i = 0; i < text.size(); ++i) head |= uint64_t((unsigned char)text[i]) << (56 - 8 * i);
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
struct Prefixes::Builder {
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
          units[at].base = kTail | uint32_t(keys[inner].byte(task.depth + 1) & 0x7F) << 24 | keys[inner].number;
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

Prefixes::Prefixes(std::string bytes, std::vector<uint32_t> starts, std::string_view lead)
    : bytes_(std::move(bytes)), width_(lead.size()), starts_(std::move(starts)), parts_(new Once<Part>[kParts]) {
  std::copy(lead.begin(), lead.end(), lead_.begin());
  size_t count = starts_.size() - 1;
  std::vector<uint16_t> places(count);
  for (uint32_t i = 0; i < count; ++i)
    if (!key(i).empty()) ++from_[(places[i] = uint16_t(index_of(key(i)))) + 1];
  for (size_t part = 0; part < kParts; ++part) from_[part + 1] += from_[part];
  order_.resize(from_[kParts]);
  std::array<uint32_t, kParts + 1> next = from_;
  for (uint32_t i = 0; i < count; ++i)
    if (!key(i).empty()) order_[next[places[i]]++] = i;
}

Prefixes::Part Prefixes::make(size_t index) const {
  Part made;
  bool led = index >= 256;
  made.depth = led ? uint32_t(width_ + 1) : 1;
  // What all texts of this part begin with, and the keys that end in it: those of a led part stand in two parts.
  std::string shared(lead_.data(), led ? width_ : 0);
  shared.push_back(char(index & 255));
  std::array<int64_t, 4> ends{-1, -1, -1, -1};
  std::vector<Key> keys;
  auto add = [&](size_t part) {
    for (uint32_t i = from_[part]; i < from_[part + 1]; ++i) {
      std::string_view text = key(order_[i]);
      if (text.size() > made.depth) {
        if (part == index) keys.push_back({head_of(text.substr(made.depth)), order_[i], i, text.substr(made.depth)});
      } else if (shared.starts_with(text)) {
        ends[text.size() - 1] = order_[i];
      }
    }
  };
  if (led) add((unsigned char)lead_[0]);
  add(index);
  for (size_t length = 1; length <= made.depth; ++length) {
    if (ends[length - 1] < 0) continue;
    made.lengths[made.count] = uint32_t(length);
    made.numbers[made.count++] = uint32_t(ends[length - 1]);
  }
  // In the block of base 0, which leaves point to, no unit has the label that would lead to it.
  made.units.reserve(keys.size() * 2 + 512);
  made.units.resize(256);
  for (uint32_t i = 0; i < 256; ++i) made.units[i].packed = (i + 1) & 0xFF;
  if (keys.empty()) return made;
  sort(keys);
  keys.erase(std::unique(keys.begin(), keys.end(), [](const Key& a, const Key& b) { return a.text == b.text; }), keys.end());
  Builder builder{made.units, keys, {}, {}};
  builder.blocks.emplace_back();  // the block of base 0, never open
  builder.build(made.root);
  return made;
}

}  // namespace enfold
