#include "text/regex/charset.hpp"

#include <algorithm>
#include <iterator>
#include <string>

#include "text/utf8.hpp"

namespace enfold::regex {
namespace {

#include "text/regex/properties.inc"

CharSet unpack(uint16_t index) {
  CharSet made;
  char32_t at = 0;
  size_t i = setStart[index];
  auto varint = [&] {
    uint32_t value = 0;
    for (int shift = 0;; shift += 7) {
      uint8_t byte = setPool[i++];
      value |= uint32_t(byte & 127) << shift;
      if (byte < 128) return value;
    }
  };
  while (i < setStart[index + 1]) {
    char32_t first = at + varint();
    char32_t last = first + varint();
    made.append(first, last);
    at = last + 1;
  }
  return made;
}

template <size_t N>
const Named* find_name(const Named (&names)[N], std::string_view name) {
  for (const Named& item : names)
    if (item.name == name) return &item;
  return nullptr;
}

std::string plain(std::string_view name) {
  std::string made;
  for (char c : name)
    if (c != ' ' && c != '-' && c != '_') made.push_back(c >= 'A' && c <= 'Z' ? char(c + 32) : c);
  return made;
}

size_t distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 0; i < a.size(); ++i) {
    size_t corner = row[0]++;
    for (size_t j = 0; j < b.size(); ++j) {
      size_t above = row[j + 1];
      row[j + 1] = std::min({above + 1, row[j] + 1, corner + (a[i] != b[j])});
      corner = above;
    }
  }
  return row[b.size()];
}

}  // namespace

bool CharSet::contains(char32_t code) const {
  auto hit = std::upper_bound(ranges_.begin(), ranges_.end(), code, [](char32_t c, const CodeRange& r) { return c < r.first; });
  return hit != ranges_.begin() && std::prev(hit)->last >= code;
}

void CharSet::unite(const CharSet& other) {
  ranges_.insert(ranges_.end(), other.ranges_.begin(), other.ranges_.end());
  settle();
}

void CharSet::settle() {
  std::sort(ranges_.begin(), ranges_.end(), [](const CodeRange& a, const CodeRange& b) { return a.first < b.first; });
  size_t kept = 0;
  for (const CodeRange& range : ranges_) {
    if (kept && range.first <= ranges_[kept - 1].last + 1) ranges_[kept - 1].last = std::max(ranges_[kept - 1].last, range.last);
    else ranges_[kept++] = range;
  }
  ranges_.resize(kept);
}

void CharSet::negate() {
  std::vector<CodeRange> made;
  char32_t at = 0;
  for (const CodeRange& range : ranges_) {
    if (range.first > at) made.push_back({at, range.first - 1});
    at = range.last + 1;
  }
  if (at <= kLastCode) made.push_back({at, kLastCode});
  ranges_.swap(made);
}

void CharSet::intersect(const CharSet& other) {
  std::vector<CodeRange> made;
  for (size_t i = 0, j = 0; i < ranges_.size() && j < other.ranges_.size();) {
    const CodeRange &a = ranges_[i], &b = other.ranges_[j];
    char32_t first = std::max(a.first, b.first), last = std::min(a.last, b.last);
    if (first <= last) made.push_back({first, last});
    if (a.last < b.last) ++i;
    else ++j;
  }
  ranges_.swap(made);
}

void CharSet::close_over_case() {
  std::vector<CodeRange> found;
  for (size_t i = 0; i < std::size(foldFrom); ++i)
    if (contains(foldFrom[i]))
      for (size_t k = foldStart[i]; k < foldStart[i + 1]; ++k) found.push_back({foldPool[k], foldPool[k]});
  ranges_.insert(ranges_.end(), found.begin(), found.end());
  settle();
}

std::bitset<256> CharSet::first_bytes() const {
  std::bitset<256> made;
  for (CodeRange range : ranges_) {
    char bytes[4];
    utf8_put(range.first, bytes);
    unsigned first = (unsigned char)bytes[0];
    utf8_put(range.last, bytes);
    for (unsigned byte = first; byte <= (unsigned char)bytes[0]; ++byte)
      if (byte < 0x80 || byte >= 0xC2) made.set(byte);  // the others begin no character
  }
  return made;
}

bool property(std::string_view name, CharSet& out) {
  const Named* found = find_name(propertyNames, plain(name));
  if (found) out = unpack(found->set);
  return found;
}

bool bracket(std::string_view name, CharSet& out) {
  const Named* found = find_name(bracketNames, name);
  if (found) out = unpack(found->set);
  return found;
}

CharSet escape_class(char letter) { return unpack(find_name(escapeNames, std::string_view(&letter, 1))->set); }

std::string_view nearest_property(std::string_view name) {
  std::string wanted = plain(name.substr(0, 64));
  std::string_view best;
  size_t least = wanted.size() / 3 + 1;
  for (const Named& item : propertyNames)
    if (size_t found = distance(wanted, item.name); found < least) least = found, best = item.name;
  return best;
}

std::vector<char32_t> case_variants(char32_t code) {
  const uint32_t* hit = std::lower_bound(std::begin(foldFrom), std::end(foldFrom), uint32_t(code));
  if (hit == std::end(foldFrom) || *hit != code) return {code};
  size_t at = size_t(hit - foldFrom);
  return {foldPool + foldStart[at], foldPool + foldStart[at + 1]};
}

char32_t case_key(char32_t code) {
  if (code < 128) return code >= 'A' && code <= 'Z' ? code + 32 : code;
  char32_t least = code;
  for (char32_t other : case_variants(code)) {
    if (other >= 'a' && other <= 'z') return other;
    if (!(other >= 'A' && other <= 'Z')) least = std::min(least, other);
  }
  return least;
}

const std::vector<LongFolding>& long_foldings() {
  static const std::u32string pool(std::begin(longTo), std::end(longTo));
  static const std::vector<LongFolding> made = [] {
    std::vector<LongFolding> all;
    for (size_t i = 0; i < std::size(longFrom); ++i) {
      std::u32string_view folded = std::u32string_view(pool).substr(i * 3, 3);
      if (folded[2] == 0) folded.remove_suffix(1);
      all.push_back({longFrom[i], folded});
    }
    return all;
  }();
  return made;
}

}  // namespace enfold::regex
