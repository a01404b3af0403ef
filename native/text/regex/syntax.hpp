// The tree of a regular expression, and its parser: Oniguruma's own syntax, which `tokenizers` uses.
// Reference: https://github.com/kkos/oniguruma/blob/master/doc/RE
#pragma once

#include <bitset>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "text/regex/charset.hpp"
#include "text/regex/regex.hpp"

namespace enfold::regex {

inline constexpr uint32_t kNoLimit = UINT32_MAX;

enum class Kind : uint8_t {
  Empty,
  Char,       // value = the code point
  Set,        // value = index into Tree::sets
  Concat,     // children
  Alternate,  // children
  Repeat,     // children[0], min, max, mode
  Capture,    // children[0], value = the number of the group
  Atomic,     // children[0]
  Look,       // children[0], ahead, negative
  Assert,     // value = an Assertion
  BackRef,    // groups, fold
  GroupSet,   // groups: whether one of them has matched; negative
  Absent,     // (?~|children[0]|children[1])
  Segment,    // \X
  Keep,       // \K
  Fail,
};

enum class Mode : uint8_t { Greedy, Lazy, Possessive };

enum class Assertion : uint8_t { LineBegin, LineEnd, TextBegin, TextEnd, TextEndLine, SearchBegin, Word, NotWord, Segment, NotSegment };

struct Node {
  Kind kind = Kind::Empty;
  Mode mode = Mode::Greedy;
  bool ahead = true, negative = false, fold = false, ascii = false;
  uint32_t value = 0;
  uint32_t min = 0, max = 0;
  std::vector<uint32_t> children;  // nodes; the groups of a BackRef and a GroupSet
  // What it can match: how many characters (saturating), whether nothing at all, and with which byte it begins.
  uint32_t least = 0, most = 0;
  bool nullable = true;
  std::bitset<256> first;
  // Instructions that it takes, at most; saturating. A repeat is written out so often as it counts, or counts.
  uint32_t size = 1;
  bool expand = false;
};

// Children come before their parents, so that whatever is known about a node is known when it is made.
struct Tree {
  std::vector<Node> nodes;
  std::vector<CharSet> sets;
  uint32_t root = 0;
  uint32_t groups = 0;  // capturing groups, numbered from 1
  bool back_references = false;
};

// Throws SyntaxError.
Tree parse(std::string_view pattern);

}  // namespace enfold::regex
