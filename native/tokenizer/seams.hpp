// Places within words that no merge reaches across, in text that is written without blanks.
//
// A merge can only join what meets at a place between two characters if some merge has a left part that ends like the first
// of them and a right part that begins like the second. Where there is none, the two sides are merged alone. Between
// ideographs that is so at most places: sentences fall into pieces of one or two characters, which come up again and again.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string_view>
#include <vector>

#include "text/utf8.hpp"
#include "tokenizer/vocab.hpp"

namespace enfold {

struct Bpe;

class Seams {
 public:
  // For a model where Bpe::byte_level() holds.
  explicit Seams(const Bpe& model);

  // Writes the seams inside text[begin, end), which is a word or, if not `starts`, a later part of one, to `to`, in order, and
  // returns how many there are; `to` has room for as many as there are bytes. Looked for are seams between two characters of
  // three bytes, and between one and ASCII. Where words that are tokens are not merged, no part is of ASCII alone, but for a
  // single byte at the start: such parts might be taken for words.
  size_t find(std::string_view text, size_t begin, size_t end, bool starts, size_t* to) const {
    const auto* p = reinterpret_cast<const unsigned char*>(text.data());
    uint32_t left = 0;  // the bytes of the character before; 0 where it is of another length
    size_t count = 0;
    for (size_t at = begin; at < end;) {
      size_t width = utf8_width(p[at]);
      if (width > end - at) break;  // only in text that is not UTF-8
      uint32_t right = width == 3 ? wide(p + at) : width == 1 ? p[at] : 0;
      to[count] = at;
      if (width == 3 && left > 0x7F) [[likely]] count += !joins(left, right);  // which is not to be guessed
      else if (left && right && (left > 0x7F || right > 0x7F) && (left > 0x7F || !strict_ || (starts && at == begin + 1))) count += !joins_ascii(left, right);
      left = right;
      at += width;
    }
    return count;
  }
  // Whether a word is a token that has seams nevertheless, and is to be taken whole.
  bool keeps_whole(std::string_view word) const { return whole_.find(word) >= 0; }
  // Appends the tokens of a word that consists of some characters of three bytes, where merging inside each of them comes
  // before any merging of two; false, with nothing appended, for other words.
  bool tokenize(std::string_view word, std::vector<int32_t>& out) const;

 private:
  static constexpr size_t kMost = 16;  // characters of a word for tokenize()
  static constexpr uint32_t kEnds[3] = {0xFF, 0xFFFF, 0xFFFFFF};
  static constexpr int kBegins[3] = {16, 8, 0};
  // A bit for each way of three in which a left part ends with one, two or all bytes of a character, times three in which a
  // right part begins so. Those of which one side is all of a character, the other not; all but both whole.
  static constexpr uint16_t kLeftWhole = 0b011000000, kRightWhole = 0b000100100, kParts = 0b011111111;

  static uint32_t wide(const unsigned char* p) { return uint32_t(p[0]) << 16 | uint32_t(p[1]) << 8 | p[2]; }
  static size_t place(uint32_t character) { return character * 0x9E3779B1u >> 22; }

  // Whether a merge may join text that ends in the character `left` with text that begins with `right`.
  bool joins(uint32_t left, uint32_t right) const { return has(left, right) | joins_parts(left, right); }
  // The same by less than a whole character on a side.
  bool joins_parts(uint32_t left, uint32_t right) const {
    unsigned ways = parts_[left & 63][right >> 16 & 15] & lefts_[place(left)] & rights_[place(right)];
    return ways && joins_by(left, right, ways);
  }
  bool joins_by(uint32_t left, uint32_t right, unsigned ways) const;
  bool joins_ascii(uint32_t left, uint32_t right) const;
  bool has(uint32_t left, uint32_t right) const {
    uint64_t at = (uint64_t(left) << 24 | right) * 0x9E3779B97F4A7C15 >> shift_;
    return bits_[at >> 6] >> (at & 63) & 1;
  }
  // The highest rank that merging a character's bytes takes, above the one token that comes of it plus one; or above 0.
  uint64_t token_of(const unsigned char* character) const;

  const Bpe& model_;
  bool strict_;
  std::vector<uint64_t> bits_;  // by hash: what a left part ends with and a right part begins with, up to a character each
  int shift_ = 0;
  // By the last byte of one character and the first of the next: which ways there may be. Few, so that most are told apart
  // by what else there would have to be: those with all of a character on one side by the hash of that.
  std::array<std::array<uint16_t, 16>, 64> parts_{};
  std::array<uint16_t, 1024> lefts_, rights_;
  Vocab whole_;
  // By code point, what token_of() says; 0 before it is first asked for.
  std::unique_ptr<std::atomic<uint64_t>[], decltype(&std::free)> tokens_;
};

}  // namespace enfold
