#include "tokenizer/check.hpp"

#include <cmath>
#include <stdexcept>
#include <string>

namespace enfold {
namespace {

[[noreturn]] void fail(const std::string& place, const std::string& what) { throw std::invalid_argument(place + ": " + what); }

enum Kind { Text, Count, Flag, Array };

void need(const Json& object, const std::string& place, const char* key, Kind kind) {
  const Json* found = object.find(key);
  if (!found) fail(place, std::string("missing field `") + key + "`");
  std::string at = place + "." + key;
  switch (kind) {
    case Text:
      if (found->kind != Json::String) fail(at, "expected a string");
      return;
    case Count:
      if (found->kind != Json::Number || found->number < 0 || std::floor(found->number) != found->number || found->number > 4294967295.0)
        fail(at, "expected a whole number below 2^32, not negative");
      return;
    case Flag:
      if (found->kind != Json::True && found->kind != Json::False) fail(at, "expected true or false");
      return;
    case Array:
      if (found->kind != Json::Array) fail(at, "expected an array");
      return;
  }
}

// The steps of a sequence, and those of sequences in it.
void check_steps(const Json& part, const std::string& place, const char* steps) {
  if (part.is_null()) return;
  if (part.kind != Json::Object) fail(place, "expected an object");
  if (part["type"].kind != Json::String) fail(place, "missing field `type`");
  if (part["type"].text != "Sequence") return;
  need(part, place, steps, Array);
  size_t index = 0;
  for (const Json& step : part[steps].items) check_steps(step, place + "." + steps + "[" + std::to_string(index++) + "]", steps);
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
      need(token, place, "id", Count);
      need(token, place, "content", Text);
      for (const char* key : {"single_word", "lstrip", "rstrip", "normalized", "special"})
        if (token.find(key)) need(token, place, key, Flag);
    }
  }
  if (const Json& cut = root["truncation"]; !cut.is_null()) {
    need(cut, "truncation", "max_length", Count);
    need(cut, "truncation", "stride", Count);
    need(cut, "truncation", "strategy", Text);
  }
  if (const Json& fill = root["padding"]; !fill.is_null()) {
    for (const char* key : {"pad_id", "pad_type_id"}) need(fill, "padding", key, Count);
    for (const char* key : {"direction", "pad_token"}) need(fill, "padding", key, Text);
  }
  check_steps(root["normalizer"], "normalizer", "normalizers");
  check_steps(root["pre_tokenizer"], "pre_tokenizer", "pretokenizers");
  check_steps(root["post_processor"], "post_processor", "processors");
  check_steps(root["decoder"], "decoder", "decoders");
}

}  // namespace enfold
