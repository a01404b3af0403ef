// A piece of text on its way through the pipeline, and where each of its bytes came from.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "text/unicode.hpp"

namespace enfold {

// A range of characters of the text as it was given.
struct Span {
  uint32_t begin = 0, end = 0;
  bool operator==(const Span&) const = default;
};

// Bytes plus, when `tracked`, for every byte the characters of the original that it stands for.
// Untracked texts run the same code and pay nothing for alignments.
struct Text {
  std::string bytes;
  std::vector<Span> spans;
  Span origin;  // the part of the original that this text covers
  std::string_view source;  // all of the original, which outlives the text or is not asked for
  bool tracked = false;

  static Text from(std::string_view original, bool tracked);

  bool empty() const { return bytes.empty(); }
  // The bytes [begin, end) as a text of their own.
  Text slice(size_t begin, size_t end) const;
  // The characters of the original behind the bytes [begin, end).
  Span span(size_t begin, size_t end) const;

  // Replaces the bytes [begin, end) by `dest`, whose changes refer to the characters there, of which the first
  // `skipped` bytes are dropped beforehand.
  void transform(size_t begin, size_t end, const std::vector<Change>& dest, size_t skipped = 0);
  void transform(const std::vector<Change>& dest) { transform(0, bytes.size(), dest); }
  void prepend(std::string_view prefix);
  // Keeps the bytes [begin, end) only; what the text covers of the original stays.
  void trim(size_t begin, size_t end);
  template <class Keep>
  void filter(Keep keep);
};

template <class Keep>
void Text::filter(Keep keep) {
  size_t out = 0;
  for (size_t at = 0; at < bytes.size();) {
    size_t from = at;
    const unsigned char lead = (unsigned char)bytes[at];
    size_t width = lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    char32_t code = lead;
    if (width > 1) {
      code = lead & (0x3F >> (width - 1));
      for (size_t i = 1; i < width; ++i) code = code << 6 | ((unsigned char)bytes[at + i] & 0x3F);
    }
    at += width;
    if (!keep(code)) continue;
    for (size_t i = from; i < at; ++i, ++out) {
      bytes[out] = bytes[i];
      if (tracked) spans[out] = spans[i];
    }
  }
  bytes.resize(out);
  if (tracked) spans.resize(out);
}

}  // namespace enfold
