// The character maps of SentencePiece models: which characters, or short runs of them, stand for which others.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "text/normalizers.hpp"

namespace enfold {

// A precompiled_charsmap: the size of a double array (Darts-clone) in bytes, the double array, and the replacements, each
// ended by a zero byte. Source: sentencepiece's builder.cc and normalizer.cc describe the layout.
class CharsMap {
 public:
  static constexpr size_t kLongest = 5;  // bytes of a cluster that is looked up as a whole

  // Throws std::invalid_argument for what is not such a map.
  explicit CharsMap(std::string_view blob);

  // What the shortest key that `chunk` begins with stands for; false where there is none.
  bool find(std::string_view chunk, std::string_view& out) const;
  // The same for one character, by its code.
  bool find(char32_t code, std::string_view& out) const {
    uint32_t entry = pages_[size_t(index_[code >> 8]) << 8 | (code & 255)];
    if (entry == 0) return false;
    size_t at = entry - 1;
    out = std::string_view(replacements_).substr(at, replacements_.find('\0', at) - at);
    return true;
  }
  bool changes(char32_t code) const { return pages_[size_t(index_[code >> 8]) << 8 | (code & 255)] != 0; }
  // Whether a run that begins with this character may be a key longer than it.
  bool leads(std::string_view character) const;

 private:
  // The keys below the node at `at`, whose path so far is `path`, into the table of single characters.
  void collect(size_t at, std::string& path, size_t& budget);
  size_t child(size_t base, unsigned char label) const;
  std::vector<uint32_t> units_;
  std::string replacements_;
  std::vector<uint16_t> index_;    // page of each 256 characters
  std::vector<uint32_t> pages_;    // where the replacement begins, + 1; 0: none
  std::vector<uint32_t> heads_, children_;  // while the map is read: children by where their siblings begin
};

struct PrecompiledNormalizer final : Normalizer {
  CharsMap map;
  explicit PrecompiledNormalizer(std::string_view blob) : map(blob) {
    for (char32_t code = 0x4E00; code < 0xA000; ++code) keeps_ideographs = keeps_ideographs && !map.changes(code);
  }
  bool keeps_ideographs = true;
  void run(Text& text) const override;
  bool cuts_at_blanks() const override { return !map.leads(" "); }
  // Appends the normalized form of `text`.
  void append(std::string_view text, std::string& out) const;
};

// The bytes behind standard base64 (RFC 4648), padding optional. Throws std::invalid_argument.
std::string decode_base64(std::string_view text);

}  // namespace enfold
