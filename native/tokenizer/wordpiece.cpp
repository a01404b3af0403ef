// WordPiece (greedy longest match first) and WordLevel.
#include <algorithm>
#include <charconv>
#include <stdexcept>

#include "text/utf8.hpp"
#include "tokenizer/model.hpp"
#include "tokenizer/unigram.hpp"

namespace enfold {

void Model::vocab_json(std::string& out, bool empty) const {
  out += "\"vocab\":{";
  bool first = true;
  if (!empty) vocab.each([&](std::string_view token, uint32_t id) {
    if (!first) out.push_back(',');
    first = false;
    json_quote(token, out);
    out.push_back(':');
    out += std::to_string(id);
  });
  out.push_back('}');
}

void WordPiece::tokenize(std::string_view word, std::vector<Piece>& out) const {
  size_t before = out.size();
  bool known = word.size() <= max_chars || utf8_length(word) <= max_chars;
  std::string buffer;  // prefix + rest of the word, so that every candidate is one view
  std::string_view text = word;
  for (size_t at = 0; known && at < word.size();) {
    size_t lead = 0;
    if (at > 0) {
      if (buffer.empty()) buffer.reserve(prefix.size() + word.size());
      buffer.assign(prefix).append(word.substr(at));
      text = buffer;
      lead = prefix.size();
    }
    size_t end = std::min(text.size(), vocab.longest());
    int32_t id = -1;
    for (; end > lead; --end) {
      // Only where a character ends.
      if (end < text.size() && (text[end] & 0xC0) == 0x80) continue;
      if ((id = vocab.find(text.substr(0, end))) >= 0) break;
    }
    if (id < 0) {
      known = false;
      break;
    }
    out.push_back({id, uint32_t(at), uint32_t(at + end - lead)});
    at += end - lead;
  }
  if (known) return;
  out.resize(before);
  int32_t unk = vocab.find(unk_token);
  if (unk < 0) throw std::runtime_error("WordPiece error: Missing [UNK] token from the vocabulary");
  out.push_back({unk, 0, uint32_t(word.size())});
}

std::string WordPiece::to_json(bool options_only) const {
  std::string out = "{\"type\":\"WordPiece\",\"unk_token\":";
  json_quote(unk_token, out);
  out += ",\"continuing_subword_prefix\":";
  json_quote(prefix, out);
  out += ",\"max_input_chars_per_word\":" + std::to_string(max_chars) + ",";
  vocab_json(out, options_only);
  return out + "}";
}

void WordLevel::tokenize(std::string_view word, std::vector<Piece>& out) const {
  int32_t id = vocab.find(word);
  if (id < 0) id = vocab.find(unk_token);
  if (id < 0) throw std::runtime_error("WordLevel error: Missing [UNK] token from the vocabulary");
  out.push_back({id, 0, uint32_t(word.size())});
}

std::string WordLevel::to_json(bool options_only) const {
  std::string out = "{\"type\":\"WordLevel\",";
  vocab_json(out, options_only);
  out += ",\"unk_token\":";
  json_quote(unk_token, out);
  return out + "}";
}

ModelPtr make_model(const Json& spec) {
  if (spec.kind != Json::Object) throw std::invalid_argument("Model missing.");
  std::string type = spec["type"].string();
  const Json& vocab = spec["vocab"];
  if (type.empty())
    type = vocab.kind == Json::Array ? "Unigram" : spec.find("merges") ? "BPE" : spec.find("max_input_chars_per_word") ? "WordPiece" : "WordLevel";
  if (type == "Unigram") return make_unigram(spec);
  auto fill = [&](Model& model) {
    if (vocab.kind != Json::Object) throw std::invalid_argument(type + ": \"vocab\" must be an object of tokens and ids");
    if (vocab.form != Json::Members && !vocab.members.empty()) throw std::invalid_argument(type + ": the id of a token must be a number, not negative");
    model.vocab.reserve(vocab.rows.size());
    for (size_t i = 0; i < vocab.rows.size(); ++i) {
      constexpr size_t kAhead = 12;  // places in the table are fetched while earlier tokens are entered
      if (i + kAhead < vocab.rows.size()) model.vocab.prefetch(vocab.rows[i + kAhead].text);
      const auto& [token, number] = vocab.rows[i];
      uint32_t id = 0;
      auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), id);
      if (error != std::errc() || end != number.data() + number.size())
        throw std::invalid_argument(type + ": the id of token \"" + std::string(token) + "\" must be a whole number, not negative, below 2^27; found " + std::string(number));
      model.vocab.add(token, id);
    }
  };
  if (type == "WordPiece") {
    auto model = std::make_shared<WordPiece>();
    fill(*model);
    model->unk_token = spec["unk_token"].string("[UNK]");
    model->prefix = spec["continuing_subword_prefix"].string("##");
    model->max_chars = size_t(spec["max_input_chars_per_word"].integer(100));
    return model;
  }
  if (type == "WordLevel") {
    auto model = std::make_shared<WordLevel>();
    fill(*model);
    model->unk_token = spec["unk_token"].string("<unk>");
    return model;
  }
  if (type == "BPE") {
    auto model = std::make_shared<Bpe>();
    fill(*model);
    auto text = [&](const char* key) { return spec[key].kind == Json::String ? std::optional(spec[key].string()) : std::nullopt; };
    if (spec["dropout"].kind == Json::Number) model->dropout = spec["dropout"].number;
    model->unk_token = text("unk_token");
    model->prefix = text("continuing_subword_prefix");
    model->suffix = text("end_of_word_suffix");
    model->fuse_unk = spec["fuse_unk"].boolean(false);
    model->byte_fallback = spec["byte_fallback"].boolean(false);
    model->ignore_merges = spec["ignore_merges"].boolean(false);
    const Json& merges = spec["merges"];
    if (!merges.items.empty()) throw std::invalid_argument("BPE: every merge must be a pair of tokens, or every one two tokens with a space between them");
    std::vector<std::pair<std::string_view, std::string_view>> pairs;
    pairs.reserve(merges.rows.size());
    for (const JsonRow& row : merges.rows) {
      if (merges.form == Json::Pairs) {
        pairs.emplace_back(row.text, row.value);
      } else if (merges.form == Json::Texts) {
        if (row.text.starts_with("#version")) continue;
        size_t space = row.text.find(' ');
        if (space == std::string_view::npos || row.text.find(' ', space + 1) != std::string_view::npos)
          throw std::invalid_argument("BPE: a merge must be two tokens with a space between them");
        pairs.emplace_back(row.text.substr(0, space), row.text.substr(space + 1));
      } else {
        throw std::invalid_argument("BPE: a merge must be a pair of tokens");
      }
    }
    add_merges(*model, pairs);
    model->prepare();
    return model;
  }
  throw std::invalid_argument("unknown model type \"" + type + "\"; known are BPE, WordPiece, WordLevel and Unigram");
}

}  // namespace enfold
