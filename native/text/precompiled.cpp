#include "text/precompiled.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <stdexcept>

#include "text/graphemes.hpp"
#include "text/utf8.hpp"

namespace enfold {
namespace {

// The parts of a unit of the double array.
constexpr bool has_leaf(uint32_t unit) { return unit >> 8 & 1; }
constexpr uint32_t label(uint32_t unit) { return unit & (1u << 31 | 0xFF); }
constexpr uint32_t value(uint32_t unit) { return unit & ((1u << 31) - 1); }
constexpr size_t offset(uint32_t unit) { return size_t(unit >> 10) << ((unit & 1u << 9) >> 6); }

[[noreturn]] void damaged(const char* what) {
  throw std::invalid_argument(std::string("Error while attempting to build Precompiled normalizer: Cannot parse precompiled_charsmap: ") + what);
}

}  // namespace

CharsMap::CharsMap(std::string_view blob) {
  uint32_t size = 0;
  if (blob.size() < 4) damaged("it is shorter than its header");
  std::memcpy(&size, blob.data(), 4);
  size_t count = size / 4;
  if (count == 0) damaged("its double array is empty");
  if (count > (blob.size() - 4) / 4) damaged("its double array is cut off");
  units_.resize(count);
  std::memcpy(units_.data(), blob.data() + 4, count * 4);
  replacements_ = blob.substr(4 + count * 4);
  if (!utf8_valid(replacements_)) damaged("a replacement is not UTF-8");
  replacements_.push_back('\0');  // so that the last one ends even if it was cut off

  // A unit with label c is a child of whichever node has its children at (the unit's place) ^ c.
  heads_.assign(count + 256, ~uint32_t(0));
  children_.assign(count, ~uint32_t(0));
  for (uint32_t i = uint32_t(count); i-- > 0;) {
    if (units_[i] >> 31) continue;
    size_t base = i ^ (units_[i] & 0xFF);
    children_[i] = heads_[base];
    heads_[base] = i;
  }
  index_.assign(0x1100, 0);
  pages_.assign(256, 0);
  std::string path;
  size_t budget = size_t(1) << 22;
  size_t root = offset(units_[0]);
  collect(root, path, budget);
  heads_ = {};
  children_ = {};
}

void CharsMap::collect(size_t base, std::string& path, size_t& budget) {
  if (base >= heads_.size()) damaged("a node lies outside");
  for (uint32_t at = heads_[base]; at != ~uint32_t(0); at = children_[at]) {
    if (units_[at] >> 31) continue;
    unsigned char byte = (unsigned char)(units_[at] & 0xFF);
    if (byte == 0 || (size_t(at) ^ byte) != base) continue;
    if (budget-- == 0) damaged("it has too many keys");
    size_t next = at ^ offset(units_[at]);
    path.push_back(char(byte));
    if (has_leaf(units_[at])) {
      if (next >= units_.size()) damaged("a leaf lies outside");
      size_t where = value(units_[next]);
      if (where >= replacements_.size() || (replacements_[where] & 0xC0) == 0x80) damaged("a key has no replacement");
      size_t bad;
      if (path.size() <= 4 && utf8_check(path, 0, bad) == path.size()) {
        size_t zero = 0;
        char32_t code = utf8_next(path, zero);
        uint16_t& page = index_[code >> 8];
        if (page == 0) {
          page = uint16_t(pages_.size() >> 8);
          pages_.resize(pages_.size() + 256);
        }
        pages_[size_t(page) << 8 | (code & 255)] = uint32_t(where + 1);
      }
    }
    // Longer keys than this are never looked up.
    if (path.size() < kLongest) collect(next, path, budget);
    path.pop_back();
  }
}

size_t CharsMap::child(size_t base, unsigned char byte) const {
  size_t at = base ^ byte;
  return at < units_.size() && label(units_[at]) == byte ? at : 0;
}

bool CharsMap::find(std::string_view chunk, std::string_view& out) const {
  size_t base = offset(units_[0]);
  for (char c : chunk) {
    size_t at = c ? child(base, (unsigned char)c) : 0;
    if (at == 0) return false;
    base = at ^ offset(units_[at]);
    if (!has_leaf(units_[at])) continue;
    size_t where = base < units_.size() ? value(units_[base]) : replacements_.size();
    if (where >= replacements_.size()) return false;
    out = std::string_view(replacements_).substr(where, replacements_.find('\0', where) - where);
    return true;
  }
  return false;
}

bool CharsMap::leads(std::string_view character) const {
  size_t base = offset(units_[0]);
  for (char c : character) {
    size_t at = child(base, (unsigned char)c);
    if (at == 0) return false;
    base = at ^ offset(units_[at]);
  }
  return true;
}

namespace {

// Where a run from `at` of visible ASCII, blanks and ideographs ends that stay as they are, or before its last character if
// what follows may belong to that. `at` must begin a cluster.
size_t plain_end(const CharsMap& map, bool ideographs, std::string_view text, size_t at) {
  const auto* p = reinterpret_cast<const unsigned char*>(text.data());
  size_t last = at, end = at;
  while (end < text.size()) {
    if (p[end] >= 0x20 && p[end] < 0x7F && !map.changes(p[end])) last = end++;
    else if (ideographs && utf8_ideograph(text, end)) last = end, end += 3;
    else break;
  }
  return end < text.size() && p[end] >= 0x80 ? last : end;
}

// Calls keep(part) for what stays as it is and put(part, replacement) for what does not.
template <class Keep, class Put>
void walk(const CharsMap& map, bool ideographs, std::string_view text, Keep keep, Put put) {
  std::string_view found;
  for (size_t at = 0; at < text.size();) {
    if (size_t plain = plain_end(map, ideographs, text, at); plain > at) {
      keep(text.substr(at, plain - at));
      at = plain;
      continue;
    }
    size_t end = cluster_end(text, at);
    std::string_view cluster = text.substr(at, end - at);
    if (cluster.size() <= CharsMap::kLongest && map.find(cluster, found)) {
      put(cluster, found);
    } else {
      for (size_t i = 0; i < cluster.size();) {
        size_t from = i;
        char32_t code = utf8_next(cluster, i);
        std::string_view part = cluster.substr(from, i - from);
        if (map.find(code, found)) put(part, found);
        else keep(part);
      }
    }
    at = end;
  }
}

}  // namespace

void PrecompiledNormalizer::append(std::string_view text, std::string& out) const {
  walk(map, keeps_ideographs, text, [&](std::string_view part) { out.append(part); }, [&](std::string_view, std::string_view made) { out.append(made); });
}

void PrecompiledNormalizer::run(Text& text) const {
  if (!text.tracked) {
    std::string made;
    made.reserve(text.bytes.size() + 16);
    append(text.bytes, made);
    text.bytes.swap(made);
    return;
  }
  thread_local std::vector<Change> dest;
  dest.clear();
  bool changed = false;
  auto keep = [&](std::string_view part) {
    for (size_t at = 0; at < part.size();) dest.push_back({utf8_next(part, at), 0});
  };
  walk(map, keeps_ideographs, text.bytes, keep,
       [&](std::string_view part, std::string_view made) {
         changed = true;
         int32_t before = int32_t(utf8_length(part)), after = 0;
         for (size_t at = 0; at < made.size(); ++after) dest.push_back({utf8_next(made, at), 0});
         // What is too many counts as put in behind; what is too few is swallowed by the character before, if there is one.
         for (int32_t i = 0; i < after - before; ++i) dest[dest.size() - 1 - size_t(i)].change = 1;
         if (after < before && !dest.empty()) dest.back().change += after - before;
       });
  if (changed) text.transform(dest);
}

std::string decode_base64(std::string_view text) {
  static const std::array<int8_t, 256> digits = [] {
    std::array<int8_t, 256> made;
    made.fill(-1);
    const char* alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (int i = 0; i < 64; ++i) made[size_t((unsigned char)alphabet[i])] = int8_t(i);
    return made;
  }();
  while (!text.empty() && text.back() == '=') text.remove_suffix(1);
  std::string out;
  out.reserve(text.size() / 4 * 3 + 3);
  uint32_t bits = 0;
  int have = 0;
  for (char c : text) {
    int8_t digit = digits[(unsigned char)c];
    if (digit < 0) throw std::invalid_argument("precompiled_charsmap is not base64");
    bits = bits << 6 | uint32_t(digit);
    if ((have += 6) >= 8) out.push_back(char(bits >> (have -= 8) & 0xFF));
  }
  return out;
}

}  // namespace enfold
