#include "tokenizer/postprocess.hpp"

#include <algorithm>
#include <stdexcept>

#include "text/unicode.hpp"
#include "text/utf8.hpp"

namespace enfold {
namespace {

bool is_gap(char32_t c) { return c == 0x120 || is_white(c); }

// Takes the white space at both ends of tokens out of their offsets.
void trim_offsets(Encoding& encoding, bool add_prefix_space) {
  for (size_t i = 0; i < encoding.size(); ++i) {
    std::string token = encoding.name(i);
    Span& span = encoding.offsets[i];
    uint32_t leading = 0, trailing = 0;
    for (size_t at = 0; at < token.size() && is_gap(utf8_next(token, at));) ++leading;
    for (size_t at = token.size(); at > 0 && is_gap(utf8_previous(token, at));) ++trailing;
    if (leading) {
      // A space that was put before the text is not part of it.
      if ((i == 0 || span.begin == 0) && add_prefix_space) --leading;
      span.begin = std::min(span.begin + leading, span.end);
    }
    if (trailing && span.end >= trailing) span.end = std::max(span.end - trailing, span.begin);
  }
  for (Encoding& part : encoding.overflowing) trim_offsets(part, add_prefix_space);
}

struct Template final : PostProcessor {
  std::vector<TemplatePiece> single, pair;

  std::vector<Encoding> process(std::vector<Encoding> encodings, bool add_special_tokens) const override {
    std::vector<Encoding> made;
    for (const TemplatePiece& piece : encodings.size() == 2 ? pair : single) {
      if (piece.sequence >= 0) {
        Encoding& encoding = encodings[std::min<size_t>(piece.sequence, encodings.size() - 1)];
        encoding.set_type_ids(piece.type_id);
        encoding.set_sequence(piece.sequence);
        // What was cut off keeps the type ids it had: the ecosystem's files have always been read that way.
        for (Encoding& part : encoding.overflowing) part.set_sequence(piece.sequence);
        made.push_back(encoding);
      } else if (add_special_tokens) {
        Encoding& around = made.emplace_back();
        for (size_t i = 0; i < piece.ids.size(); ++i)
          around.push(piece.ids[i], piece.type_id, Encoding::kNoWord, {}, true, std::make_shared<const std::string>(piece.tokens[i]));
      }
    }
    return made;
  }
  size_t added(bool is_pair) const override {
    size_t count = 0;
    for (const TemplatePiece& piece : is_pair ? pair : single) count += piece.ids.size();
    return count;
  }
};

struct ByteLevelProcessor final : PostProcessor {
  bool trim = true, add_prefix_space = true;
  std::vector<Encoding> process(std::vector<Encoding> encodings, bool) const override {
    for (size_t i = 0; i < encodings.size(); ++i) {
      if (trim) trim_offsets(encodings[i], add_prefix_space);
      encodings[i].set_sequence(i);
    }
    return encodings;
  }
  size_t added(bool) const override { return 0; }
  bool trims() const override { return trim; }
};

// RoBERTa's: a template, with offsets trimmed before.
struct Roberta final : PostProcessor {
  Template around;
  bool trim = true, add_prefix_space = true;
  std::vector<Encoding> process(std::vector<Encoding> encodings, bool add_special_tokens) const override {
    if (trim)
      for (Encoding& encoding : encodings) trim_offsets(encoding, add_prefix_space);
    // All of RoBERTa's tokens are of type 0.
    for (Encoding& encoding : encodings) {
      encoding.set_type_ids(0);
      for (Encoding& part : encoding.overflowing) part.set_type_ids(0);
    }
    return add_special_tokens ? around.process(std::move(encodings), true) : encodings;
  }
  size_t added(bool pair) const override { return around.added(pair); }
  bool trims() const override { return trim; }
};

struct BertProcessing final : PostProcessor {
  Template around;
  std::vector<Encoding> process(std::vector<Encoding> encodings, bool add_special_tokens) const override {
    return add_special_tokens ? around.process(std::move(encodings), true) : encodings;
  }
  size_t added(bool pair) const override { return around.added(pair); }
};

struct ProcessorSequence final : PostProcessor {
  std::vector<PostProcessorPtr> steps;
  std::vector<Encoding> process(std::vector<Encoding> encodings, bool add_special_tokens) const override {
    for (const auto& step : steps) encodings = step->process(std::move(encodings), add_special_tokens);
    return encodings;
  }
  size_t added(bool pair) const override {
    size_t count = 0;
    for (const auto& step : steps) count += step->added(pair);
    return count;
  }
  bool trims() const override {
    return std::any_of(steps.begin(), steps.end(), [](const auto& step) { return step->trims(); });
  }
};

std::vector<TemplatePiece> make_pieces(const Json& pieces, const Json& special_tokens) {
  std::vector<TemplatePiece> made;
  for (const Json& item : pieces.items) {
    TemplatePiece piece;
    if (const Json* sequence = item.find("Sequence")) {
      piece.sequence = (*sequence)["id"].text == "B" ? 1 : 0;
      piece.type_id = int32_t((*sequence)["type_id"].integer(0));
    } else {
      const Json& token = item["SpecialToken"];
      piece.type_id = int32_t(token["type_id"].integer(0));
      const Json& known = special_tokens[token["id"].text];
      if (known.is_null()) throw std::invalid_argument("TemplateProcessing: missing SpecialToken(s) with id(s) `" + token["id"].string() + "`");
      for (const Json& id : known["ids"].items) piece.ids.push_back(int32_t(id.integer(0)));
      for (const Json& text : known["tokens"].items) piece.tokens.push_back(text.string());
      if (piece.tokens.size() != piece.ids.size()) throw std::invalid_argument("TemplateProcessing: a special token needs as many ids as tokens");
    }
    made.push_back(std::move(piece));
  }
  return made;
}

TemplatePiece make_around(const Json& pair, int32_t type_id) {
  if (pair.items.size() != 2) throw std::invalid_argument("a special token must be a pair of its text and its id");
  return {-1, type_id, {int32_t(pair.items[1].integer(0))}, {pair.items[0].string()}};
}

}  // namespace

bool as_template(const PostProcessor* processor, bool pair, std::vector<TemplatePiece>& out) {
  out.clear();
  if (!processor || dynamic_cast<const ByteLevelProcessor*>(processor)) {
    out.push_back({0, 0, {}, {}});
    if (pair) out.push_back({1, 1, {}, {}});
    return true;
  }
  const Template* found = dynamic_cast<const Template*>(processor);
  if (auto roberta = dynamic_cast<const Roberta*>(processor)) found = &roberta->around;
  if (auto bert = dynamic_cast<const BertProcessing*>(processor)) found = &bert->around;
  if (auto sequence = dynamic_cast<const ProcessorSequence*>(processor)) {
    // Byte-level steps leave the ids alone; of the others there may be one.
    const PostProcessor* only = nullptr;
    for (const auto& step : sequence->steps) {
      if (dynamic_cast<const ByteLevelProcessor*>(step.get())) continue;
      if (only) return false;
      only = step.get();
    }
    return as_template(only, pair, out);
  }
  if (!found) return false;
  out = pair ? found->pair : found->single;
  return true;
}

PostProcessorPtr make_post_processor(const Json& spec) {
  if (spec.is_null()) return nullptr;
  std::string type = spec["type"].string();
  if (type == "Sequence") {
    auto made = std::make_shared<ProcessorSequence>();
    for (const Json& item : spec["processors"].items) made->steps.push_back(make_post_processor(item));
    return made;
  }
  if (type == "TemplateProcessing") {
    auto made = std::make_shared<Template>();
    made->single = make_pieces(spec["single"], spec["special_tokens"]);
    made->pair = make_pieces(spec["pair"], spec["special_tokens"]);
    return made;
  }
  if (type == "ByteLevel") {
    auto made = std::make_shared<ByteLevelProcessor>();
    made->trim = spec["trim_offsets"].boolean(true);
    made->add_prefix_space = spec["add_prefix_space"].boolean(true);
    return made;
  }
  TemplatePiece first{0, 0, {}, {}}, second{1, 1, {}, {}};
  if (type == "BertProcessing") {
    auto made = std::make_shared<BertProcessing>();
    TemplatePiece cls = make_around(spec["cls"], 0), sep = make_around(spec["sep"], 0), end = make_around(spec["sep"], 1);
    made->around.single = {cls, first, sep};
    made->around.pair = {cls, first, sep, second, end};
    return made;
  }
  if (type == "RobertaProcessing") {
    auto made = std::make_shared<Roberta>();
    TemplatePiece cls = make_around(spec["cls"], 0), sep = make_around(spec["sep"], 0);
    second.type_id = 0;
    made->around.single = {cls, first, sep};
    made->around.pair = {cls, first, sep, sep, second, sep};
    made->trim = spec["trim_offsets"].boolean(true);
    made->add_prefix_space = spec["add_prefix_space"].boolean(true);
    return made;
  }
  throw std::invalid_argument("unknown post_processor type \"" + type + "\"");
}

}  // namespace enfold
