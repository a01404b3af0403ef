#include "text/regex/tree.hpp"

#include <algorithm>

#include "text/utf8.hpp"

namespace enfold::regex {
namespace {

constexpr uint32_t kWrittenOut = 512;  // instructions that a counted repeat may become
constexpr uint32_t kHuge = 1u << 30;   // "at least so many" in the saturating sums

uint32_t sum(uint32_t a, uint32_t b) { return std::min(kHuge, a + b); }
uint32_t product(uint32_t a, uint32_t b) { return uint32_t(std::min<uint64_t>(kHuge, uint64_t(a) * b)); }

// A word as its characters compare when case is ignored.
std::u32string keyed(std::u32string_view word) {
  std::u32string made;
  for (char32_t code : word) made.push_back(case_key(code));
  return made;
}

}  // namespace

// Everything about a node that follows from its children.
void TreeBuilder::measure(Node& node) {
  auto child = [&](size_t i) -> const Node& { return tree.nodes[node.children[i]]; };
  switch (node.kind) {
    case Kind::Char: {
      node.least = node.most = 1;
      node.nullable = false;
      char bytes[4];
      utf8_put(node.value, bytes);
      node.first.set((unsigned char)bytes[0]);
      break;
    }
    case Kind::Set:
      node.least = node.most = 1;
      node.nullable = false;
      node.first = tree.sets[node.value].first_bytes();
      break;
    case Kind::Concat:
      node.size = 0;
      for (size_t i = 0; i < node.children.size(); ++i) {
        const Node& part = child(i);
        if (node.nullable) node.first |= part.first;
        node.nullable = node.nullable && part.nullable;
        node.least = sum(node.least, part.least);
        node.most = sum(node.most, part.most);
        node.size = sum(node.size, part.size);
      }
      break;
    case Kind::Alternate:
      node.least = kHuge;
      node.nullable = false;
      for (size_t i = 0; i < node.children.size(); ++i) {
        const Node& part = child(i);
        node.first |= part.first;
        node.nullable = node.nullable || part.nullable;
        node.least = std::min(node.least, part.least);
        node.most = std::max(node.most, part.most);
        node.size = sum(node.size, sum(part.size, 1));
      }
      break;
    case Kind::Repeat:
      node.least = product(child(0).least, node.min);
      node.most = node.max == kNoLimit ? (child(0).most ? kHuge : 0) : product(child(0).most, node.max);
      node.first = child(0).first;
      node.nullable = node.min == 0 || child(0).nullable;
      if (child(0).most == 1 && child(0).least == 1 && (child(0).kind == Kind::Char || child(0).kind == Kind::Set)) {
        node.size = 1;
      } else {
        // Small ones are written out, which keeps the count out of the state of a match.
        uint32_t copies = node.max == kNoLimit ? sum(node.min, 1) : node.max;
        uint32_t written = product(sum(child(0).size, 3), copies);
        node.expand = copies <= 1 || written <= kWrittenOut;
        node.size = node.expand ? sum(written, 4) : sum(child(0).size, 6);
      }
      break;
    case Kind::Capture:
    case Kind::Atomic:
      node.least = child(0).least;
      node.most = child(0).most;
      node.first = child(0).first;
      node.nullable = child(0).nullable;
      node.size = sum(child(0).size, 2);
      break;
    case Kind::Look:
      node.size = sum(child(0).size, 3);
      break;
    case Kind::Absent:
      node.least = child(1).least;
      node.most = child(1).most;
      node.first = child(1).first;
      node.nullable = child(1).nullable;
      node.size = sum(sum(child(0).size, child(1).size), 6);
      break;
    case Kind::Segment:
      node.least = 1;
      node.most = kHuge;
      node.nullable = false;
      node.first.set();
      break;
    case Kind::BackRef:
      node.most = kHuge;
      node.first.set();
      break;
    default: break;
  }
}

uint32_t TreeBuilder::add(Node node) {
  measure(node);
  tree.nodes.push_back(std::move(node));
  return uint32_t(tree.nodes.size() - 1);
}

uint32_t TreeBuilder::leaf(Kind kind, uint32_t value) {
  Node node;
  node.kind = kind;
  node.value = value;
  return add(std::move(node));
}

uint32_t TreeBuilder::wrap(Kind kind, uint32_t child) {
  Node node;
  node.kind = kind;
  node.children = {child};
  return add(std::move(node));
}

uint32_t TreeBuilder::set_node(CharSet set) {
  std::u32string key;
  for (const CodeRange& range : set.ranges()) key.append({range.first, range.last});
  auto [found, fresh] = known_sets_.try_emplace(key, uint32_t(tree.sets.size()));
  if (fresh) tree.sets.push_back(std::move(set));
  return leaf(Kind::Set, found->second);
}

// One character as it stands in the pattern.
uint32_t TreeBuilder::character(char32_t code) {
  if (fold) {
    std::vector<char32_t> same = case_variants(code);
    if (same.size() > 1) {
      std::vector<CodeRange> ranges;
      for (char32_t one : same) ranges.push_back({one, one});
      uint32_t node = set_node(CharSet(std::move(ranges)));
      tree.nodes[node].fold = true;
      return node;
    }
  }
  uint32_t node = leaf(Kind::Char, code);
  tree.nodes[node].fold = fold;
  return node;
}

uint32_t TreeBuilder::spelled(std::u32string_view word) {
  std::vector<uint32_t> items;
  for (char32_t code : word) items.push_back(character(code));
  return join(Kind::Concat, std::move(items));
}

uint32_t TreeBuilder::join(Kind kind, std::vector<uint32_t> children) {
  if (children.size() == 1) return children[0];
  if (children.empty()) return leaf(Kind::Empty);
  Node node;
  node.kind = kind;
  node.children = std::move(children);
  return add(std::move(node));
}

// Where case is ignored, some characters equal several: ß and ss, ﬆ and st. Such a character, and such a sequence, becomes
// a choice among all that equal it.
uint32_t TreeBuilder::concatenation(std::vector<uint32_t> items) {
  std::vector<uint32_t> made;
  std::u32string keys;  // of the characters for which case is ignored; 0 for all other items
  bool any = false;
  for (uint32_t item : items) {
    const Node& node = tree.nodes[item];
    bool folds = node.fold && (node.kind == Kind::Char || (node.kind == Kind::Set && node.value < tree.sets.size()));
    char32_t one = !folds ? 0 : node.kind == Kind::Char ? node.value : tree.sets[node.value].ranges()[0].first;
    keys.push_back(folds ? case_key(one) : 0);
    any = any || folds;
  }
  if (!any) return join(Kind::Concat, std::move(items));
  bool before = fold;
  fold = true;
  for (size_t i = 0; i < items.size();) {
    if (!keys[i]) {
      made.push_back(items[i++]);
      continue;
    }
    // The longest sequence that has an equal here.
    std::u32string_view folded;
    for (const LongFolding& folding : long_foldings()) {
      if (case_key(folding.code) == keys[i]) folded = folding.folded;
      else if (folding.folded.size() > folded.size() && folding.folded.size() > 1 && std::u32string_view(keys).substr(i).starts_with(keyed(folding.folded)))
        folded = folding.folded;
    }
    bool whole = !folded.empty() && std::u32string_view(keys).substr(i).starts_with(keyed(folded));
    if (folded.empty()) {
      made.push_back(items[i++]);
      continue;
    }
    std::vector<uint32_t> ways;
    std::vector<CodeRange> single;
    for (const LongFolding& folding : long_foldings())
      if (keyed(folding.folded) == keyed(folded)) single.push_back({folding.code, folding.code});
    if (whole) {
      ways.push_back(join(Kind::Concat, {items.begin() + i, items.begin() + i + folded.size()}));
    } else {
      single.push_back({keys[i], keys[i]});
      ways.push_back(spelled(folded));
    }
    CharSet set(std::move(single));
    set.close_over_case();
    ways.push_back(set_node(std::move(set)));
    made.push_back(join(Kind::Alternate, std::move(ways)));
    i += whole ? folded.size() : 1;
  }
  fold = before;
  return join(Kind::Concat, std::move(made));
}

// One of several characters is a class: no choice to come back to.
uint32_t TreeBuilder::alternation(std::vector<uint32_t> branches) {
  std::vector<uint32_t> kept;
  std::vector<CodeRange> chars;
  for (size_t i = 0; i < branches.size();) {
    size_t end = i;
    chars.clear();
    while (end < branches.size()) {
      const Node& node = tree.nodes[branches[end]];
      if (node.kind == Kind::Char) {
        chars.push_back({node.value, node.value});
      } else if (node.kind == Kind::Set) {
        const auto& ranges = tree.sets[node.value].ranges();
        chars.insert(chars.end(), ranges.begin(), ranges.end());
      } else {
        break;
      }
      ++end;
    }
    if (end - i > 1) kept.push_back(set_node(CharSet(chars)));
    else kept.push_back(branches[i]), end = i + 1;
    i = end;
  }
  return join(Kind::Alternate, std::move(kept));
}

}  // namespace enfold::regex
