// What happens to a text before it is cut into words.
#pragma once

#include <memory>

#include "text/json.hpp"
#include "text/text.hpp"

namespace enfold {

struct Normalizer {
  virtual ~Normalizer() = default;
  virtual void run(Text& text) const = 0;
  // Whether what lies between two ASCII blanks is normalized without a look across them, and blanks stay blanks.
  virtual bool keeps_blanks() const { return false; }
  // Whether this is NFC.
  virtual bool composes() const { return false; }
  // Whether a text may be cut before blanks, and its parts normalized one by one: what comes out is the same, blanks stay
  // blanks, and no blank appears at a cut or goes.
  virtual bool cuts_at_blanks() const { return false; }
};
using NormalizerPtr = std::shared_ptr<const Normalizer>;

// From the "normalizer" member of tokenizer.json; null for null. Throws std::invalid_argument for what is unknown.
NormalizerPtr make_normalizer(const Json& spec);

struct BertNormalizer final : Normalizer {
  bool clean_text, chinese, strip_accents, lowercase;
  void run(Text& text) const override;
  bool keeps_blanks() const override { return true; }
};

// Replaces every occurrence of one string by another.
struct ReplaceNormalizer final : Normalizer {
  std::string pattern, content;
  void run(Text& text) const override;
  bool cuts_at_blanks() const override { return !pattern.empty() && pattern.find(' ') == std::string::npos; }
};

// Replaces every run of two or more blanks: the pattern " {2,}" of nearly all SentencePiece tokenizers.
struct BlankRunNormalizer final : Normalizer {
  std::string content;
  void run(Text& text) const override;
};

struct StripNormalizer final : Normalizer {
  bool left, right;
  void run(Text& text) const override;
};

struct PrependNormalizer final : Normalizer {
  std::string prefix;
  void run(Text& text) const override { text.prepend(prefix); }
};

struct NormalizerSequence final : Normalizer {
  std::vector<NormalizerPtr> steps;
  void run(Text& text) const override {
    for (const auto& step : steps) step->run(text);
  }
  bool keeps_blanks() const override {
    for (const auto& step : steps)
      if (!step->keeps_blanks()) return false;
    return true;
  }
};

// The visible character that byte-level tokenizers write for a byte (GPT-2's table), and the way back (-1: none).
char32_t byte_char(unsigned char byte);
int char_byte(char32_t code);
// Replaces every byte by its visible character.
void bytes_to_chars(Text& text);

// The text of a pattern: {"String": "…"}, or a string. Throws for anything else, naming `owner`.
std::string literal_pattern(const Json& pattern, const char* owner);
// The expression of a pattern that is none of these: {"Regex": "…"}, or the empty string; null for the others.
const Json* regex_pattern(const Json& pattern);

}  // namespace enfold
