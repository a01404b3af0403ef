#include "tokenizer/decode.hpp"

#include <stdexcept>

#include "text/custom.hpp"
#include "text/normalizers.hpp"
#include "text/regex/regex.hpp"
#include "text/utf8.hpp"

namespace enfold {
namespace {

void replace_all(std::string& text, std::string_view from, std::string_view to) {
  if (from.empty()) {  // found before every character, and at the end
    std::string made(to);
    for (size_t at = 0; at < text.size(); ++at) {
      made.push_back(text[at]);
      if (at + 1 == text.size() || (text[at + 1] & 0xC0) != 0x80) made += to;
    }
    return void(text = std::move(made));
  }
  for (size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size())) text.replace(at, from.size(), to);
}

// The English clean-up of spaces before punctuation and contractions.
void clean_up(std::string& text) {
  static const std::pair<const char*, const char*> rules[] = {{" .", "."},     {" ?", "?"},     {" !", "!"},   {" ,", ","},
                                                              {" ' ", "'"},    {" n't", "n't"}, {" 'm", "'m"}, {" do not", " don't"},
                                                              {" 's", "'s"},   {" 've", "'ve"}, {" 're", "'re"}};
  if (text.find(' ') == std::string::npos) return;
  for (auto [from, to] : rules) replace_all(text, from, to);
}

struct ByteLevelDecoder final : Decoder {
  void run(std::vector<std::string>& tokens) const override {
    std::string bytes;
    for (const std::string& token : tokens) append_bytes(token, bytes);
    tokens.assign(1, {});
    utf8_append_lossy(bytes, tokens[0]);
  }
  Kind kind() const override { return Bytes; }
};

struct WordPieceDecoder final : Decoder {
  std::string prefix = "##";
  bool cleanup = true;
  Kind kind() const override { return PerToken; }
  bool sees_first() const override { return true; }
  void run(std::vector<std::string>& tokens) const override {
    for (size_t i = 0; i < tokens.size(); ++i) {
      std::string& token = tokens[i];
      if (i > 0) {
        if (token.starts_with(prefix)) token.erase(0, prefix.size());
        else token.insert(0, " ");
      }
      if (cleanup) clean_up(token);
    }
  }
};

struct MetaspaceDecoder final : Decoder {
  std::string replacement;
  bool prepended = true;
  Kind kind() const override { return PerToken; }
  bool sees_first() const override { return prepended; }
  void run(std::vector<std::string>& tokens) const override {
    for (size_t i = 0; i < tokens.size(); ++i) {
      // The first token's marks were put there, all of them as far as the scheme can tell.
      replace_all(tokens[i], replacement, i == 0 && prepended ? "" : " ");
    }
  }
};

struct BpeDecoder final : Decoder {
  std::string suffix = "</w>";
  Kind kind() const override { return PerToken; }
  bool sees_last() const override { return true; }
  void run(std::vector<std::string>& tokens) const override {
    for (size_t i = 0; i < tokens.size(); ++i) replace_all(tokens[i], suffix, i + 1 == tokens.size() ? "" : " ");
  }
};

struct CtcDecoder final : Decoder {
  std::string pad = "<pad>", delimiter = "|";
  bool cleanup = true;
  void run(std::vector<std::string>& tokens) const override {
    std::vector<std::string> made;
    for (size_t i = 0; i < tokens.size(); ++i) {
      if (i > 0 && tokens[i] == tokens[i - 1]) continue;
      std::string token = tokens[i];
      replace_all(token, pad, "");
      if (cleanup) {
        clean_up(token);
        replace_all(token, delimiter, " ");
      }
      if (!token.empty()) made.push_back(token);
    }
    tokens.swap(made);
  }
};

struct ByteFallbackDecoder final : Decoder {
  Kind kind() const override { return Fallback; }
  void run(std::vector<std::string>& tokens) const override {
    std::vector<std::string> made;
    std::string bytes;
    auto flush = [&] {
      if (bytes.empty()) return;
      if (utf8_valid(bytes)) made.push_back(bytes);
      else made.insert(made.end(), bytes.size(), "\uFFFD");
      bytes.clear();
    };
    for (std::string& token : tokens) {
      int byte = fallback_byte(token);
      if (byte >= 0) {
        bytes.push_back(char(byte));
      } else {
        flush();
        made.push_back(std::move(token));
      }
    }
    flush();
    tokens.swap(made);
  }
};

struct FuseDecoder final : Decoder {
  Kind kind() const override { return Join; }
  void run(std::vector<std::string>& tokens) const override {
    std::string all;
    for (const std::string& token : tokens) all += token;
    tokens.assign(1, std::move(all));
  }
};

struct StripDecoder final : Decoder {
  std::string content = " ";
  size_t start = 0, stop = 0;
  Kind kind() const override { return PerToken; }
  void run(std::vector<std::string>& tokens) const override {
    if (content.empty()) return;
    for (std::string& token : tokens) {
      size_t begin = 0, end = token.size();
      for (size_t i = 0; i < start && std::string_view(token).substr(begin).starts_with(content); ++i) begin += content.size();
      for (size_t i = 0; i < stop && end >= begin + content.size() && std::string_view(token).substr(0, end).ends_with(content); ++i)
        end -= content.size();
      token = token.substr(begin, end - begin);
    }
  }
};

struct ReplaceDecoder final : Decoder {
  std::string pattern, content;
  Kind kind() const override { return PerToken; }
  void run(std::vector<std::string>& tokens) const override {
    if (pattern.empty()) return;  // here it is found nowhere
    for (std::string& token : tokens) replace_all(token, pattern, content);
  }
};

struct RegexReplaceDecoder final : Decoder {
  regex::Regex pattern;
  std::string content;
  Kind kind() const override { return PerToken; }
  RegexReplaceDecoder(std::string_view source, std::string content) : pattern(source), content(std::move(content)) {}
  void run(std::vector<std::string>& tokens) const override {
    for (std::string& token : tokens) {
      if (token.empty()) continue;
      std::string made;
      size_t from = 0;
      regex::Matches matches(pattern, token);
      for (regex::Match match; matches.next(match); from = match.end) made.append(token, from, match.begin - from).append(content);
      made.append(token, from);
      token.swap(made);
    }
  }
};

struct DecoderSequence final : Decoder {
  std::vector<DecoderPtr> steps;
  std::vector<const Decoder*> parts() const override {
    std::vector<const Decoder*> made;
    for (const auto& step : steps) {
      std::vector<const Decoder*> inner = step->parts();
      if (inner.empty()) inner.push_back(step.get());
      made.insert(made.end(), inner.begin(), inner.end());
    }
    return made;
  }
  void run(std::vector<std::string>& tokens) const override {
    for (const auto& step : steps) step->run(tokens);
  }
};

}  // namespace

void append_bytes(std::string_view token, std::string& out) {
  size_t before = out.size();
  for (size_t at = 0; at < token.size();) {
    int byte = char_byte(utf8_next(token, at));
    if (byte < 0) {
      // An added token.
      out.resize(before);
      out.append(token);
      return;
    }
    out.push_back(char(byte));
  }
}

int fallback_byte(std::string_view token) {
  if (token.size() != 6 || !token.starts_with("<0x") || token[5] != '>') return -1;
  int value = 0;
  // The ecosystem's number parser takes a plus sign.
  for (char c : token.substr(token[3] == '+' ? 4 : 3, token[3] == '+' ? 1 : 2)) {
    int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
    if (digit < 0) return -1;
    value = value * 16 + digit;
  }
  return value;
}

DecoderPtr make_decoder(const Json& spec) {
  if (spec.is_null()) return nullptr;
  std::string type = spec["type"].string();
  if (type == "Sequence") {
    auto made = std::make_shared<DecoderSequence>();
    for (const Json& item : spec["decoders"].items) made->steps.push_back(make_decoder(item));
    return made;
  }
  if (type == "ByteLevel") return std::make_shared<ByteLevelDecoder>();
  if (type == "ByteFallback") return std::make_shared<ByteFallbackDecoder>();
  if (type == "Fuse") return std::make_shared<FuseDecoder>();
  if (type == "WordPiece") {
    auto made = std::make_shared<WordPieceDecoder>();
    made->prefix = spec["prefix"].string("##");
    made->cleanup = spec["cleanup"].boolean(true);
    return made;
  }
  if (type == "Metaspace") {
    auto made = std::make_shared<MetaspaceDecoder>();
    made->replacement = spec["replacement"].string("\u2581");
    made->prepended = spec["prepend_scheme"].string(spec["add_prefix_space"].boolean(true) ? "always" : "never") != "never";
    return made;
  }
  if (type == "BPEDecoder") {
    auto made = std::make_shared<BpeDecoder>();
    made->suffix = spec["suffix"].string("</w>");
    return made;
  }
  if (type == "CTC") {
    auto made = std::make_shared<CtcDecoder>();
    made->pad = spec["pad_token"].string("<pad>");
    made->delimiter = spec["word_delimiter_token"].string("|");
    made->cleanup = spec["cleanup"].boolean(true);
    return made;
  }
  if (type == "Strip") {
    auto made = std::make_shared<StripDecoder>();
    made->content = spec["content"].string(" ");
    made->start = size_t(spec["start"].integer(0));
    made->stop = size_t(spec["stop"].integer(0));
    return made;
  }
  if (type == "Replace") {
    if (const Json* source = regex_pattern(spec["pattern"]))
      return std::make_shared<RegexReplaceDecoder>(source->text, spec["content"].string());
    auto made = std::make_shared<ReplaceDecoder>();
    made->pattern = literal_pattern(spec["pattern"], "Replace");
    made->content = spec["content"].string();
    return made;
  }
  if (type == "Custom" && CustomParts::known) return CustomParts::known->decoder(spec["handle"].integer(0));
  throw std::invalid_argument("unknown decoder type \"" + type + "\"");
}

}  // namespace enfold
