#include "tokenizer/check.hpp"

#include <cmath>
#include <stdexcept>
#include <string>
#include <string_view>

#include "text/utf8.hpp"

namespace enfold {
namespace {

[[noreturn]] void fail(const std::string& place, const std::string& what) { throw std::invalid_argument(place + ": " + what); }

enum Kind { Text, Count, Flag, Char, Array, Map, Pattern, Scheme, Named };
enum Need { Required, Optional, Nullable };  // Nullable: may also be null

const char* expected(Kind kind) {
  switch (kind) {
    case Text: return "expected a string";
    case Count: return "expected a whole number below 2^32, not negative";
    case Flag: return "expected true or false";
    case Char: return "expected a single character";
    case Array: return "expected an array";
    case Map: return "expected an object";
    case Scheme: return "expected \"always\", \"first\" or \"never\"";
    case Named: return "expected [token, id]";
    case Pattern: break;
  }
  return "expected {\"String\": text} or {\"Regex\": text}";
}

bool is_a(const Json& value, Kind kind) {
  switch (kind) {
    case Text: return value.kind == Json::String;
    case Count: return value.kind == Json::Number && value.number >= 0 && std::floor(value.number) == value.number && value.number <= 4294967295.0;
    case Flag: return value.kind == Json::True || value.kind == Json::False;
    case Char: return value.kind == Json::String && !value.text.empty() && utf8_length(value.text) == 1;
    case Array: return value.kind == Json::Array;
    case Map: return value.kind == Json::Object;
    case Scheme: return value.kind == Json::String && (value.text == "always" || value.text == "first" || value.text == "never");
    case Named: return value.kind == Json::Array && value.items.size() == 2 && is_a(value.items[0], Text) && is_a(value.items[1], Count);
    case Pattern: break;
  }
  return value.kind == Json::Object && (value["String"].kind == Json::String || value["Regex"].kind == Json::String);
}

void field(const Json& object, const std::string& place, const char* key, Kind kind, Need need = Required) {
  const Json* found = object.find(key);
  if (!found && need == Required) fail(place, std::string("missing field `") + key + "`");
  if (!found || (need == Nullable && found->is_null())) return;
  if (!is_a(*found, kind)) fail(place + "." + key, expected(kind));
}

// What the types of components need, beside their type; the same name means the same wherever it stands.
struct Field {
  std::string_view part, type;  // an empty part: any
  const char* key;
  Kind kind;
  Need need = Required;
};

constexpr Field kFields[] = {
    {"", "BertNormalizer", "clean_text", Flag},
    {"", "BertNormalizer", "handle_chinese_chars", Flag},
    {"", "BertNormalizer", "strip_accents", Flag, Nullable},
    {"", "BertNormalizer", "lowercase", Flag},
    {"normalizer", "Strip", "strip_left", Flag},
    {"normalizer", "Strip", "strip_right", Flag},
    {"", "Replace", "pattern", Pattern},
    {"", "Replace", "content", Text},
    {"", "Prepend", "prepend", Text},
    {"", "Precompiled", "precompiled_charsmap", Text},
    {"pre_tokenizer", "ByteLevel", "add_prefix_space", Flag},
    {"pre_tokenizer", "ByteLevel", "trim_offsets", Flag},
    {"pre_tokenizer", "ByteLevel", "use_regex", Flag, Optional},
    {"post_processor", "ByteLevel", "add_prefix_space", Flag},
    {"post_processor", "ByteLevel", "trim_offsets", Flag},
    {"post_processor", "ByteLevel", "use_regex", Flag, Optional},
    {"decoder", "ByteLevel", "add_prefix_space", Flag},
    {"decoder", "ByteLevel", "trim_offsets", Flag},
    {"decoder", "ByteLevel", "use_regex", Flag, Optional},
    {"", "Split", "pattern", Pattern},
    {"", "Split", "behavior", Text},
    {"", "Split", "invert", Flag},
    {"", "Metaspace", "replacement", Char},
    {"", "Metaspace", "prepend_scheme", Scheme, Optional},
    {"", "Metaspace", "split", Flag, Nullable},
    {"", "Punctuation", "behavior", Text, Optional},
    {"", "Digits", "individual_digits", Flag},
    {"", "CharDelimiterSplit", "delimiter", Char},
    {"", "FixedLength", "length", Count, Optional},
    {"", "TemplateProcessing", "single", Array},
    {"", "TemplateProcessing", "pair", Array},
    {"", "TemplateProcessing", "special_tokens", Map},
    {"", "BertProcessing", "sep", Named},
    {"", "BertProcessing", "cls", Named},
    {"", "RobertaProcessing", "sep", Named},
    {"", "RobertaProcessing", "cls", Named},
    {"", "WordPiece", "prefix", Text},
    {"", "WordPiece", "cleanup", Flag},
    {"", "BPEDecoder", "suffix", Text},
    {"", "CTC", "pad_token", Text},
    {"", "CTC", "word_delimiter_token", Text},
    {"", "CTC", "cleanup", Flag},
    {"decoder", "Strip", "content", Char},
    {"decoder", "Strip", "start", Count},
    {"decoder", "Strip", "stop", Count},
};

// A component, or the steps of a sequence of them.
void check_part(const Json& part, std::string_view name, const std::string& place, const char* steps) {
  if (part.is_null()) return;
  if (part.kind != Json::Object) fail(place, "expected an object");
  if (part["type"].kind != Json::String) fail(place, "missing field `type`");
  std::string_view type = part["type"].text;
  for (const Field& known : kFields)
    if (known.type == type && (known.part.empty() || known.part == name)) field(part, place, known.key, known.kind, known.need);
  if (type == "TemplateProcessing")
    for (const auto& [token, special] : part["special_tokens"].members) {
      std::string at = place + ".special_tokens." + std::string(token);
      if (special.kind != Json::Object) fail(at, expected(Map));
      field(special, at, "id", Text);
      field(special, at, "ids", Array);
      field(special, at, "tokens", Array);
    }
  if (type != "Sequence") return;
  field(part, place, steps, Array);
  size_t index = 0;
  for (const Json& step : part[steps].items) check_part(step, name, place + "." + steps + "[" + std::to_string(index++) + "]", steps);
}

// The options of a model; its vocabulary and merges are its own affair. A model may come without a type.
void check_model(const Json& model) {
  if (model.kind != Json::Object) return;
  std::string_view type = model["type"].kind == Json::String ? model["type"].text : std::string_view();
  if (type == "BPE") {
    for (const char* key : {"unk_token", "continuing_subword_prefix", "end_of_word_suffix"}) field(model, "model", key, Text, Nullable);
    for (const char* key : {"fuse_unk", "byte_fallback", "ignore_merges"}) field(model, "model", key, Flag, Nullable);
    field(model, "model", "merges", Array);
    const Json& dropout = model["dropout"];
    if (!dropout.is_null() && (dropout.kind != Json::Number || !(dropout.number >= 0 && dropout.number <= 1)))
      fail("model.dropout", "expected a number between 0 and 1");
  } else if (type == "WordPiece") {
    field(model, "model", "unk_token", Text);
    field(model, "model", "continuing_subword_prefix", Text);
    field(model, "model", "max_input_chars_per_word", Count);
  } else if (type == "WordLevel") {
    field(model, "model", "unk_token", Text);
  } else if (type == "Unigram") {
    field(model, "model", "unk_id", Count, Nullable);
    field(model, "model", "byte_fallback", Flag, Optional);
  }
}

}  // namespace

void check_document(const Json& root) {
  if (root.kind != Json::Object) throw std::invalid_argument("expected a JSON object");
  if (const Json* version = root.find("version"); version && (version->kind != Json::String || version->text != "1.0"))
    fail("version", "only \"1.0\" is known, not " + std::string(version->source.substr(0, 40)));
  if (const Json* added = root.find("added_tokens")) {
    if (added->kind != Json::Array) fail("added_tokens", "expected an array");
    size_t index = 0;
    for (const Json& token : added->items) {
      std::string place = "added_tokens[" + std::to_string(index++) + "]";
      if (token.kind != Json::Object) fail(place, "expected an object");
      field(token, place, "id", Count);
      field(token, place, "content", Text);
      for (const char* key : {"single_word", "lstrip", "rstrip", "normalized", "special"}) field(token, place, key, Flag);
    }
  }
  if (const Json& cut = root["truncation"]; !cut.is_null()) {
    field(cut, "truncation", "max_length", Count);
    field(cut, "truncation", "stride", Count);
    field(cut, "truncation", "strategy", Text);
    field(cut, "truncation", "direction", Text, Optional);
  }
  if (const Json& fill = root["padding"]; !fill.is_null()) {
    for (const char* key : {"pad_id", "pad_type_id"}) field(fill, "padding", key, Count);
    for (const char* key : {"direction", "pad_token"}) field(fill, "padding", key, Text);
    field(fill, "padding", "pad_to_multiple_of", Count, Nullable);
    const Json& strategy = fill["strategy"];
    if (!(strategy.kind == Json::String && strategy.text == "BatchLongest") && !is_a(strategy["Fixed"], Count))
      fail("padding.strategy", "expected \"BatchLongest\" or {\"Fixed\": length}");
  }
  check_part(root["normalizer"], "normalizer", "normalizer", "normalizers");
  check_part(root["pre_tokenizer"], "pre_tokenizer", "pre_tokenizer", "pretokenizers");
  check_part(root["post_processor"], "post_processor", "post_processor", "processors");
  check_part(root["decoder"], "decoder", "decoder", "decoders");
  check_model(root["model"]);
}

}  // namespace enfold
