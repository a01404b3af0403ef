// Sets of code points, as character classes and properties describe them.
#pragma once

#include <bitset>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

namespace enfold::regex {

inline constexpr char32_t kLastCode = 0x10FFFF;

struct CodeRange {
  char32_t first, last;  // inclusive
  bool operator==(const CodeRange&) const = default;
};

// Sorted ranges that neither overlap nor touch.
class CharSet {
 public:
  CharSet() = default;
  explicit CharSet(char32_t code) : ranges_{{code, code}} {}
  CharSet(char32_t first, char32_t last) : ranges_{{first, last}} {}
  // From ranges in any order.
  explicit CharSet(std::vector<CodeRange> ranges) : ranges_(std::move(ranges)) { settle(); }

  const std::vector<CodeRange>& ranges() const { return ranges_; }
  bool empty() const { return ranges_.empty(); }
  bool contains(char32_t code) const;
  // Adds a range that lies behind all others.
  void append(char32_t first, char32_t last) { ranges_.push_back({first, last}); }
  void unite(const CharSet& other);
  void intersect(const CharSet& other);
  void negate();
  // Adds every character that equals a member when case is ignored.
  void close_over_case();
  // The bytes that the UTF-8 of a member can begin with.
  std::bitset<256> first_bytes() const;
  bool operator==(const CharSet&) const = default;

 private:
  void settle();
  std::vector<CodeRange> ranges_;
};

// \p{name}: names are compared without blanks, dashes, underscores and case. False for unknown names.
bool property(std::string_view name, CharSet& out);
// [:name:]
bool bracket(std::string_view name, CharSet& out);
// \d, \h, \s, \w by their letters.
CharSet escape_class(char letter);
// The known property that is spelled most like `name`; empty when none is close.
std::string_view nearest_property(std::string_view name);

// The characters that equal `code` when case is ignored, `code` among them.
std::vector<char32_t> case_variants(char32_t code);
// The smallest of them: equal for equal characters.
char32_t case_key(char32_t code);

// A character whose case folding is two or three characters, such as ß and ss.
struct LongFolding {
  char32_t code;
  std::u32string_view folded;
};
const std::vector<LongFolding>& long_foldings();

}  // namespace enfold::regex
