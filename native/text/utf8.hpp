// UTF-8, one code point at a time. Input is trusted to be valid: Python and Arrow strings are.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace enfold {

// The number of bytes of the character that starts with `lead`.
inline size_t utf8_width(unsigned char lead) { return lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4; }

// Reads the character at `at` and moves `at` past it.
inline char32_t utf8_next(std::string_view text, size_t& at) {
  const auto* p = reinterpret_cast<const unsigned char*>(text.data()) + at;
  size_t left = text.size() - at;
  size_t width = utf8_width(p[0]);
  if (width > left) width = left;  // only for text that is not UTF-8
  at += width;
  switch (width) {
    case 1: return p[0];
    case 2: return char32_t(p[0] & 0x1F) << 6 | (p[1] & 0x3F);
    case 3: return char32_t(p[0] & 0x0F) << 12 | char32_t(p[1] & 0x3F) << 6 | (p[2] & 0x3F);
    default: return char32_t(p[0] & 0x07) << 18 | char32_t(p[1] & 0x3F) << 12 | char32_t(p[2] & 0x3F) << 6 | (p[3] & 0x3F);
  }
}

// Whether one of the ideographs from U+4E00 to U+9FFF begins at `at`.
inline bool utf8_ideograph(std::string_view text, size_t at) {
  const auto* p = reinterpret_cast<const unsigned char*>(text.data()) + at;
  return p[0] >= 0xE4 && p[0] <= 0xE9 && text.size() - at >= 3 && (p[0] > 0xE4 || p[1] >= 0xB8);
}

// Reads the character that ends at `end` (exclusive) and moves `end` to where it begins.
inline char32_t utf8_previous(std::string_view text, size_t& end) {
  do --end;
  while (end > 0 && (text[end] & 0xC0) == 0x80);
  size_t at = end;
  return utf8_next(text, at);
}

inline size_t utf8_put(char32_t code, char* out) {
  if (code < 0x80) return out[0] = char(code), 1;
  if (code < 0x800) return out[0] = char(0xC0 | code >> 6), out[1] = char(0x80 | (code & 0x3F)), 2;
  if (code < 0x10000)
    return out[0] = char(0xE0 | code >> 12), out[1] = char(0x80 | (code >> 6 & 0x3F)), out[2] = char(0x80 | (code & 0x3F)), 3;
  return out[0] = char(0xF0 | code >> 18), out[1] = char(0x80 | (code >> 12 & 0x3F)), out[2] = char(0x80 | (code >> 6 & 0x3F)),
         out[3] = char(0x80 | (code & 0x3F)), 4;
}

inline void utf8_append(char32_t code, std::string& out) {
  char bytes[4];
  out.append(bytes, utf8_put(code, bytes));
}

inline size_t utf8_length(std::string_view text) {
  size_t count = 0;
  for (char byte : text) count += (byte & 0xC0) != 0x80;
  return count;
}

// The length of the valid UTF-8 sequence at `at`; 0 when there is none, and then `bad` is how many bytes one
// replacement character stands for (the "maximal subpart" rule of Unicode, chapter 3.9).
size_t utf8_check(std::string_view text, size_t at, size_t& bad);

// Appends `bytes` with U+FFFD in place of what is not UTF-8.
void utf8_append_lossy(std::string_view bytes, std::string& out);

// Whether all of `bytes` is UTF-8.
bool utf8_valid(std::string_view bytes);
// Where it first is not; npos when all of it is.
size_t utf8_invalid(std::string_view bytes);

}  // namespace enfold
