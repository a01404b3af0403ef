// Character classes, case mapping and normalization forms. The tables are measured: see make_tables.py.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "text/unicode_data.inc"

namespace enfold {

inline uint16_t char_flags(char32_t code) {
  return code < 0x110000 ? flagData[size_t(flagIndex[code >> 7]) << 7 | (code & 127)] : 0;
}
inline bool is_white(char32_t code) { return char_flags(code) & kWhite; }
inline bool is_punct(char32_t code) { return char_flags(code) & kPunct; }

// The number of the character's script for UnicodeScripts; 0 goes with every other.
uint8_t script_of(char32_t code);

// The ideograph blocks that BERT's basic tokenizer sets apart.
inline bool is_ideograph(char32_t c) {
  return (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0x3400 && c <= 0x4DBF) || (c >= 0x20000 && c <= 0x2A6DF) ||
         (c >= 0x2A700 && c <= 0x2B73F) || (c >= 0x2B740 && c <= 0x2B81F) || (c >= 0x2B920 && c <= 0x2CEAF) ||
         (c >= 0xF900 && c <= 0xFAFF) || (c >= 0x2F800 && c <= 0x2FA1F);
}

// A character and how it came to be: 0 stands for the next input character, n > 0 was inserted after it,
// -n stands for the next input character and swallows the n after that.
struct Change {
  char32_t code;
  int32_t change;
};

// The lower-case form, one to three characters.
void lower(char32_t code, std::vector<Change>& out);
// The upper-case form, one to three characters.
void upper(char32_t code, std::vector<Change>& out);

enum class Form { NFC, NFD, NFKC, NFKD };

// Writes the normalization form of `text` as changes to its characters.
void normalize(Form form, std::string_view text, std::vector<Change>& out);

// Puts the NFC form of `text` into `out`; false, with nothing put there, where the text is in that form already. Only what
// stands around characters that may change is normalized.
bool compose(std::string_view text, std::string& out);

}  // namespace enfold
