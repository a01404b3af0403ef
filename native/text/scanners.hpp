// Where the words of a text end: hand-written equivalents of the regular expressions that tokenizers use.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "text/unicode.hpp"
#include "text/utf8.hpp"

namespace enfold {

// The byte after the word of `text` that begins at `at`. Every byte belongs to a word.
using Scanner = size_t (*)(std::string_view text, size_t at);

// The scanner of a known regular expression; null when the pattern is not one of them.
Scanner find_scanner(std::string_view pattern);

// GPT-2:  's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
size_t scan_gpt2(std::string_view text, size_t at);
// The same on each side of a split into single digits, as StarCoder and SmolLM2 have it.
size_t scan_gpt2_digits(std::string_view text, size_t at);
// cl100k and Llama 3; Qwen 2, whose numbers are single digits; o200k; Mistral's tekken.
size_t scan_cl100k(std::string_view text, size_t at);
size_t scan_qwen2(std::string_view text, size_t at);
size_t scan_o200k(std::string_view text, size_t at);
size_t scan_tekken(std::string_view text, size_t at);

// Classes that the scanners tell apart, one byte per ASCII character.
enum : uint8_t { kClassLetter = 1, kClassNumber = 2, kClassSpace = 4, kClassOther = 8 };
extern const std::array<uint8_t, 128> ascii_class;

inline uint8_t class_at(std::string_view text, size_t& at) {
  unsigned char c = (unsigned char)text[at];
  if (c < 128) return ++at, ascii_class[c];
  uint16_t flags = char_flags(utf8_next(text, at));
  return flags & kLetter ? kClassLetter : flags & kNumber ? kClassNumber : flags & kSpace ? kClassSpace : kClassOther;
}

// The end of the run of characters of class `wanted` from `at` on.
inline size_t run_end(std::string_view text, size_t at, uint8_t wanted) {
  while (at < text.size()) {
    size_t next = at;
    if (!(class_at(text, next) & wanted)) break;
    at = next;
  }
  return at;
}

}  // namespace enfold
