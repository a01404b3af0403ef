#include "text/normalizers.hpp"

#include <algorithm>
#include <array>
#include <stdexcept>

#include "text/custom.hpp"
#include "text/precompiled.hpp"
#include "text/regex/regex.hpp"
#include "text/utf8.hpp"

namespace enfold {
namespace {

// Scratch for changes: one per thread, so that short texts allocate nothing.
std::vector<Change>& changes() {
  thread_local std::vector<Change> scratch;
  scratch.clear();
  return scratch;
}

bool is_ascii(std::string_view text) {
  for (char c : text)
    if (c & 0x80) return false;
  return true;
}

void lowercase(Text& text) {
  if (is_ascii(text.bytes)) {
    for (char& c : text.bytes)
      if (c >= 'A' && c <= 'Z') c += 32;
    return;
  }
  std::vector<Change>& dest = changes();
  for (size_t at = 0; at < text.bytes.size();) lower(utf8_next(text.bytes, at), dest);
  text.transform(dest);
}

void to_form(Form form, Text& text) {
  if (is_ascii(text.bytes)) return;
  std::vector<Change>& dest = changes();
  normalize(form, text.bytes, dest);
  text.transform(dest);
}

struct FormNormalizer final : Normalizer {
  Form form;
  explicit FormNormalizer(Form form) : form(form) {}
  bool cuts_at_blanks() const override { return true; }
  void run(Text& text) const override { to_form(form, text); }
  bool keeps_blanks() const override { return true; }
  bool composes() const override { return form == Form::NFC; }
};

struct LowercaseNormalizer final : Normalizer {
  bool cuts_at_blanks() const override { return true; }
  void run(Text& text) const override { lowercase(text); }
  bool keeps_blanks() const override { return true; }
};

struct StripAccentsNormalizer final : Normalizer {
  bool cuts_at_blanks() const override { return true; }
  void run(Text& text) const override {
    if (!is_ascii(text.bytes)) text.filter([](char32_t c) { return !(char_flags(c) & kMark); });
  }
  bool keeps_blanks() const override { return true; }
};

// The clean-up of the neural translation toolkits that SentencePiece calls nmt.
struct NmtNormalizer final : Normalizer {
  static bool dropped(char32_t c) {
    return (c >= 1 && c <= 8) || c == 0xB || (c >= 0xE && c <= 0x1F) || c == 0x7F || c == 0x8F || c == 0x9F;
  }
  static bool blank(char32_t c) {
    return c == 9 || c == 0xA || c == 0xC || c == 0xD || c == 0x1680 || (c >= 0x200B && c <= 0x200F) || c == 0x2028 ||
           c == 0x2029 || c == 0x2581 || c == 0xFEFF || c == 0xFFFD;
  }
  bool cuts_at_blanks() const override { return true; }
  void run(Text& text) const override {
    text.filter([](char32_t c) { return !dropped(c); });
    std::vector<Change>& dest = changes();
    for (size_t at = 0; at < text.bytes.size();) {
      char32_t c = utf8_next(text.bytes, at);
      dest.push_back({blank(c) ? U' ' : c, 0});
    }
    text.transform(dest);
  }
};

// Replaces every match of a regular expression by one string.
struct RegexReplaceNormalizer final : Normalizer {
  regex::Regex pattern;
  std::string content;
  RegexReplaceNormalizer(std::string_view source, std::string content) : pattern(source), content(std::move(content)) {}
  void run(Text& text) const override {
    if (text.empty()) return;
    std::string made;
    std::vector<Span> spans;
    size_t from = 0;
    regex::Matches matches(pattern, text.bytes);
    for (regex::Match match; matches.next(match);) {
      made.append(text.bytes, from, match.begin - from).append(content);
      if (text.tracked) {
        spans.insert(spans.end(), text.spans.begin() + from, text.spans.begin() + match.begin);
        // What is put in stands for the last character before the end of the match.
        spans.insert(spans.end(), content.size(), match.end ? text.spans[match.end - 1] : Span{});
      }
      from = match.end;
    }
    made.append(text.bytes, from);
    if (text.tracked) spans.insert(spans.end(), text.spans.begin() + from, text.spans.end());
    text.bytes.swap(made);
    text.spans.swap(spans);
  }
};

struct ByteLevelNormalizer final : Normalizer {
  void run(Text& text) const override { bytes_to_chars(text); }
};

struct ByteTables {
  std::array<char32_t, 256> chars{};
  std::array<int16_t, 0x180> bytes{};
  ByteTables() {
    bytes.fill(-1);
    char32_t next = 256;
    for (int b = 0; b < 256; ++b) {
      bool visible = (b >= '!' && b <= '~') || (b >= 0xA1 && b <= 0xAC) || b >= 0xAE;
      chars[b] = visible ? char32_t(b) : next++;
      bytes[chars[b]] = int16_t(b);
    }
  }
};
const ByteTables kBytes;

}  // namespace

char32_t byte_char(unsigned char byte) { return kBytes.chars[byte]; }
int char_byte(char32_t code) { return code < kBytes.bytes.size() ? kBytes.bytes[code] : -1; }

void bytes_to_chars(Text& text) {
  std::string made;
  std::vector<Span> spans;
  made.reserve(text.bytes.size() * 2);
  for (size_t i = 0; i < text.bytes.size(); ++i) {
    size_t before = made.size();
    utf8_append(byte_char((unsigned char)text.bytes[i]), made);
    if (text.tracked) spans.insert(spans.end(), made.size() - before, text.spans[i]);
  }
  text.bytes.swap(made);
  text.spans.swap(spans);
}

void BertNormalizer::run(Text& text) const {
  if (clean_text) {
    text.filter([](char32_t c) { return c >= 0x20 && c < 0x7F ? true : !(char_flags(c) & kOther); });
    if (is_ascii(text.bytes)) {
      for (char& c : text.bytes)
        if (c == '\t' || c == '\n' || c == '\r') c = ' ';
    } else {
      std::vector<Change>& dest = changes();
      for (size_t at = 0; at < text.bytes.size();) {
        char32_t c = utf8_next(text.bytes, at);
        dest.push_back({is_white(c) ? U' ' : c, 0});
      }
      text.transform(dest);
    }
  }
  if (chinese && !is_ascii(text.bytes)) {
    std::vector<Change>& dest = changes();
    for (size_t at = 0; at < text.bytes.size();) {
      char32_t c = utf8_next(text.bytes, at);
      if (is_ideograph(c)) {
        dest.push_back({U' ', 0});
        dest.push_back({c, 1});
        dest.push_back({U' ', 1});
      } else {
        dest.push_back({c, 0});
      }
    }
    text.transform(dest);
  }
  if (strip_accents && !is_ascii(text.bytes)) {
    to_form(Form::NFD, text);
    text.filter([](char32_t c) { return !(char_flags(c) & kMarkNonspacing); });
  }
  if (lowercase) enfold::lowercase(text);
}

void StripNormalizer::run(Text& text) const {
  size_t begin = 0, end = text.bytes.size();
  if (left)
    for (size_t at = 0; at < end && is_white(utf8_next(text.bytes, at));) begin = at;
  if (right)
    for (size_t at = end; at > begin && is_white(utf8_previous(text.bytes, at));) end = at;
  if (begin || end < text.bytes.size()) text.trim(begin, end);
}

void BlankRunNormalizer::run(Text& text) const {
  size_t hit = text.bytes.find("  ");
  if (hit == std::string::npos) return;
  std::string made;
  std::vector<Span> spans;
  size_t from = 0;
  for (; hit != std::string::npos; hit = text.bytes.find("  ", from)) {
    made.append(text.bytes, from, hit - from).append(content);
    size_t end = std::min(text.bytes.find_first_not_of(' ', hit), text.bytes.size());
    if (text.tracked) {
      spans.insert(spans.end(), text.spans.begin() + from, text.spans.begin() + hit);
      spans.insert(spans.end(), content.size(), text.spans[end - 1]);
    }
    from = end;
  }
  made.append(text.bytes, from);
  if (text.tracked) spans.insert(spans.end(), text.spans.begin() + from, text.spans.end());
  text.bytes.swap(made);
  text.spans.swap(spans);
}

void ReplaceNormalizer::run(Text& text) const {
  if (pattern.empty()) return;
  size_t hit = text.bytes.find(pattern);
  if (hit == std::string::npos) return;
  std::string made;
  std::vector<Span> spans;
  size_t from = 0;
  for (; hit != std::string::npos; hit = text.bytes.find(pattern, from)) {
    made.append(text.bytes, from, hit - from);
    made.append(content);
    if (text.tracked) {
      spans.insert(spans.end(), text.spans.begin() + from, text.spans.begin() + hit);
      // What is put in stands for the last character of what it replaces.
      spans.insert(spans.end(), content.size(), text.spans[hit + pattern.size() - 1]);
    }
    from = hit + pattern.size();
  }
  made.append(text.bytes, from);
  if (text.tracked) spans.insert(spans.end(), text.spans.begin() + from, text.spans.end());
  text.bytes.swap(made);
  text.spans.swap(spans);
}

std::string literal_pattern(const Json& pattern, const char* owner) {
  if (pattern.kind == Json::String) return pattern.string();
  if (const Json* text = pattern.find("String")) return text->string();
  throw std::invalid_argument(std::string(owner) + ": expected a pattern {\"String\": …} or {\"Regex\": …}");
}

const Json* regex_pattern(const Json& pattern) {
  if (pattern.kind != Json::Object) return nullptr;
  const Json* source = pattern.find("Regex");
  if (source && source->kind == Json::String) return source;
  // Nothing, found everywhere.
  const Json* text = pattern.find("String");
  return text && text->kind == Json::String && text->text.empty() ? text : nullptr;
}

NormalizerPtr make_normalizer(const Json& spec) {
  if (spec.is_null()) return nullptr;
  std::string type = spec["type"].string();
  if (type == "Sequence") {
    auto made = std::make_shared<NormalizerSequence>();
    for (const Json& item : spec["normalizers"].items) made->steps.push_back(make_normalizer(item));
    return made;
  }
  if (type == "BertNormalizer") {
    auto made = std::make_shared<BertNormalizer>();
    made->clean_text = spec["clean_text"].boolean(true);
    made->chinese = spec["handle_chinese_chars"].boolean(true);
    made->lowercase = spec["lowercase"].boolean(true);
    made->strip_accents = spec["strip_accents"].boolean(made->lowercase);
    return made;
  }
  if (type == "NFC") return std::make_shared<FormNormalizer>(Form::NFC);
  if (type == "NFD") return std::make_shared<FormNormalizer>(Form::NFD);
  if (type == "NFKC") return std::make_shared<FormNormalizer>(Form::NFKC);
  if (type == "NFKD") return std::make_shared<FormNormalizer>(Form::NFKD);
  if (type == "Lowercase") return std::make_shared<LowercaseNormalizer>();
  if (type == "StripAccents") return std::make_shared<StripAccentsNormalizer>();
  if (type == "ByteLevel") return std::make_shared<ByteLevelNormalizer>();
  if (type == "Nmt") return std::make_shared<NmtNormalizer>();
  if (type == "Precompiled") return std::make_shared<PrecompiledNormalizer>(decode_base64(spec["precompiled_charsmap"].string()));
  if (type == "Strip") {
    auto made = std::make_shared<StripNormalizer>();
    made->left = spec["strip_left"].boolean(true);
    made->right = spec["strip_right"].boolean(true);
    return made;
  }
  if (type == "Prepend") {
    auto made = std::make_shared<PrependNormalizer>();
    made->prefix = spec["prepend"].string("\u2581");
    return made;
  }
  if (type == "Replace") {
    if (const Json* regex = spec["pattern"].find("Regex"); regex && regex->string() == " {2,}") {
      auto made = std::make_shared<BlankRunNormalizer>();
      made->content = spec["content"].string();
      return made;
    }
    if (const Json* source = regex_pattern(spec["pattern"]))
      return std::make_shared<RegexReplaceNormalizer>(source->text, spec["content"].string());
    auto made = std::make_shared<ReplaceNormalizer>();
    made->pattern = literal_pattern(spec["pattern"], "Replace");
    made->content = spec["content"].string();
    return made;
  }
  if (type == "Custom" && CustomParts::known) return CustomParts::known->normalizer(spec["handle"].integer(0));
  throw std::invalid_argument("unknown normalizer type \"" + type + "\"");
}

}  // namespace enfold
