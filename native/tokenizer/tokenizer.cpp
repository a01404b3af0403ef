#include "tokenizer/tokenizer.hpp"

#include <stdexcept>

#include "tokenizer/cache.hpp"

namespace enfold {

std::vector<Split> Pipeline::pieces(std::string_view text, bool tracked) const {
  std::vector<Split> pieces, made;
  if (text.empty()) return made;
  added->split_raw(Text::from(text, tracked || custom), encode_special_tokens, pieces);
  if (!normalizer && !added->any_normalized()) {
    made = std::move(pieces);
  } else {
    for (Split& piece : pieces) {
      if (piece.added >= 0) {
        made.push_back(std::move(piece));
        continue;
      }
      if (normalizer) normalizer->run(piece.text);
      if (piece.text.empty()) continue;
      // What was trimmed in front is gone: the text begins where its first character does.
      if (tracked) piece.text.origin = piece.text.span(0, piece.text.bytes.size());
      added->split_normalized(piece.text, encode_special_tokens, made);
    }
  }
  return made;
}

std::vector<Split> Pipeline::splits(std::string_view text, bool tracked, bool map_bytes) const {
  std::vector<Split> made = pieces(text, tracked);
  if (pre_tokenizer) pre_tokenizer->run(made, map_bytes);
  return made;
}

// Byte-level tokenizers need no text a word: the bytes of a token are as many as its visible characters.
bool Pipeline::encode_bytes(std::string_view text, int32_t type_id, int32_t word, Encoding& out) const {
  const auto* bpe = dynamic_cast<const Bpe*>(model.get());
  const auto* level = dynamic_cast<const ByteLevelPreTokenizer*>(pre_tokenizer.get());
  if (!bpe || !bpe->byte_level() || !level || !level->use_regex || !scratch) return false;
  std::unique_ptr<Scratch> own = scratch->take();
  int32_t index = 0;
  for (Split& split : pieces(text, true)) {
    std::string& bytes = split.text.bytes;
    if (split.added >= 0) {
      out.push(split.added, type_id, word >= 0 ? word : index, split.text.span(0, bytes.size()), false,
               std::make_shared<const std::string>(bytes));
      ++index;
      continue;
    }
    if (level->add_prefix_space && bytes[0] != ' ') split.text.prepend(" ");
    for (size_t at = 0; at < bytes.size(); ++index) {
      size_t end = scan_gpt2(bytes, at);
      std::string_view piece(bytes.data() + at, end - at);
      own->ids.clear();
      if (!own->cache.find(piece, bytes.size() - at >= 16, own->ids)) {
        bpe->tokenize_bytes(piece, own->ids);
        own->cache.put(piece, own->ids.data(), own->ids.size());
      }
      for (int32_t id : own->ids) {
        size_t next = at + bpe->byte_length(id);
        out.push(id, type_id, word >= 0 ? word : index, split.text.span(at, next));
        at = next;
      }
    }
  }
  scratch->give(std::move(own));
  return true;
}

void push_given(const Split& split, int32_t type_id, int32_t word, Encoding& out) {
  const Text& text = split.text;
  for (const GivenToken& token : *split.tokens) {
    Span span{uint32_t(token.begin), uint32_t(token.end)};  // taken at its word where it lies outside the text
    if (token.begin < token.end && token.end <= text.bytes.size()) span = text.span(token.begin, token.end);
    out.push(int32_t(token.id), type_id, word, span, false, std::make_shared<const std::string>(token.value));
  }
}

void Pipeline::encode(std::string_view text, int32_t type_id, int32_t word, Encoding& out) const {
  if (!model) throw std::runtime_error("this tokenizer has no model");
  out.model = model;
  if (encode_bytes(text, type_id, word, out)) return;
  std::vector<Split> words = splits(text, true, true);
  std::vector<Piece> pieces;
  for (size_t i = 0; i < words.size(); ++i) {
    const Split& split = words[i];
    int32_t index = word >= 0 ? word : int32_t(i);
    if (split.tokens) {
      push_given(split, type_id, index, out);
      continue;
    }
    if (split.added >= 0) {
      out.push(split.added, type_id, index, split.text.span(0, split.text.bytes.size()), false,
               std::make_shared<const std::string>(split.text.bytes));
      continue;
    }
    pieces.clear();
    model->tokenize(split.text.bytes, pieces);
    for (const Piece& piece : pieces) {
      size_t end = std::min<size_t>(piece.end, split.text.bytes.size()), begin = std::min<size_t>(piece.begin, end);
      Name name = model->keeps_text(piece.id) ? std::make_shared<const std::string>(split.text.bytes, begin, end - begin) : nullptr;
      out.push(piece.id, type_id, index, split.text.span(begin, end), false, std::move(name));
    }
  }
}

Encoding Pipeline::finish(Encoding first, std::optional<Encoding> second, bool add_special_tokens) const {
  if (truncation) {
    Truncation limit = *truncation;
    size_t reserved = add_special_tokens && post_processor ? post_processor->added(second.has_value()) : 0;
    if (limit.max_length >= reserved) {
      limit.max_length -= reserved;
      truncate(first, second ? &*second : nullptr, limit);
    }
  }
  std::vector<Encoding> parts;
  parts.push_back(std::move(first));
  if (second) parts.push_back(std::move(*second));
  for (size_t i = 0; i < parts.size(); ++i) {
    parts[i].set_sequence(i);
    for (Encoding& part : parts[i].overflowing) part.set_sequence(i);
    parts[i].set_type_ids(int32_t(i));
  }
  if (post_processor) parts = post_processor->process(std::move(parts), add_special_tokens);
  Encoding made;
  if (parts.size() == 1) {
    made = std::move(parts[0]);
  } else {
    for (const Encoding& part : parts) made.merge(part, false);
  }
  if (!made.model) made.model = model;
  if (padding) {
    std::vector<Encoding*> all{&made};
    pad(all, *padding);
  }
  return made;
}

Encoding encode(const Pipeline& pipeline, const Input& input, bool add_special_tokens) {
  auto sequence = [&](const std::vector<std::string_view>& parts, bool words, int32_t type_id) {
    Encoding made;
    made.model = pipeline.model;
    for (size_t i = 0; i < parts.size(); ++i) pipeline.encode(parts[i], type_id, words ? int32_t(i) : -1, made);
    return made;
  };
  Encoding first = sequence(input.first, input.first_words, 0);
  std::optional<Encoding> second;
  if (input.has_second) second = sequence(input.second, input.second_words, 1);
  return pipeline.finish(std::move(first), std::move(second), add_special_tokens);
}

int32_t Pipeline::token_to_id(std::string_view token) const {
  int32_t id = added->id(token);
  return id >= 0 || !model ? id : model->vocab.find(token);
}

bool Pipeline::id_to_token(int64_t id, std::string& out) const {
  if (id < 0 || id > INT32_MAX) return false;
  if (const AddedToken* token = added->token(int32_t(id))) return out = token->content, true;
  if (!model || !model->vocab.has_id(id)) return false;
  out = model->vocab.token(id);
  return true;
}

std::string Pipeline::decode(const std::vector<int64_t>& ids, bool skip_special_tokens) const {
  std::vector<std::string> tokens;
  tokens.reserve(ids.size());
  for (int64_t id : ids) {
    if (const AddedToken* known = id >= 0 && id <= INT32_MAX ? added->token(int32_t(id)) : nullptr) {
      if (!skip_special_tokens || !added->is_special(known->content)) tokens.push_back(known->content);
    } else if (model && model->vocab.has_id(id)) {
      tokens.emplace_back(model->vocab.token(id));
    }
  }
  if (decoder) decoder->run(tokens);
  std::string text;
  for (size_t i = 0; i < tokens.size(); ++i) {
    if (i && !decoder) text.push_back(' ');
    text += tokens[i];
  }
  return text;
}

std::optional<Truncation> make_truncation(const Json& spec) {
  if (spec.is_null()) return {};
  Truncation made;
  made.max_length = size_t(spec["max_length"].integer(512));
  made.stride = size_t(spec["stride"].integer(0));
  std::string strategy = spec["strategy"].string("LongestFirst"), direction = spec["direction"].string("Right");
  if (strategy == "LongestFirst" || strategy == "longest_first") made.strategy = Truncation::LongestFirst;
  else if (strategy == "OnlyFirst" || strategy == "only_first") made.strategy = Truncation::OnlyFirst;
  else if (strategy == "OnlySecond" || strategy == "only_second") made.strategy = Truncation::OnlySecond;
  else throw std::invalid_argument("Unknown `strategy`: `" + strategy + "`. Use one of `longest_first`, `only_first`, or `only_second`");
  made.left = direction == "Left" || direction == "left";
  if (!made.left && direction != "Right" && direction != "right")
    throw std::invalid_argument("Unknown `direction`: `" + direction + "`. Use one of `left` or `right`");
  return made;
}

std::optional<Padding> make_padding(const Json& spec) {
  if (spec.is_null()) return {};
  Padding made;
  if (const Json* fixed = spec["strategy"].find("Fixed")) made.length = size_t(fixed->integer(0));
  if (spec["pad_to_multiple_of"].kind == Json::Number) made.multiple = size_t(spec["pad_to_multiple_of"].integer(0));
  made.id = int32_t(spec["pad_id"].integer(0));
  made.type_id = int32_t(spec["pad_type_id"].integer(0));
  made.token = spec["pad_token"].string("[PAD]");
  std::string direction = spec["direction"].string("Right");
  made.left = direction == "Left" || direction == "left";
  if (!made.left && direction != "Right" && direction != "right")
    throw std::invalid_argument("Unknown `direction`: `" + direction + "`. Use one of `left` or `right`");
  return made;
}

std::vector<AddedToken> make_added_tokens(const Json& spec) {
  std::vector<AddedToken> made;
  for (const Json& item : spec.items) {
    AddedToken token;
    token.content = item["content"].string();
    token.special = item["special"].boolean(false);
    token.single_word = item["single_word"].boolean(false);
    token.lstrip = item["lstrip"].boolean(false);
    token.rstrip = item["rstrip"].boolean(false);
    token.normalized = item["normalized"].boolean(!token.special);
    made.push_back(std::move(token));
  }
  return made;
}

}  // namespace enfold
