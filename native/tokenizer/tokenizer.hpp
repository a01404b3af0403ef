// The whole pipeline, from text to an encoding and back.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tokenizer/added.hpp"
#include "tokenizer/decode.hpp"
#include "tokenizer/encoding.hpp"
#include "tokenizer/postprocess.hpp"

namespace enfold {

struct ScratchPool;
struct Derived;

// Everything that encoding depends on. Immutable once made: a tokenizer that is changed makes a new one, so that threads
// and results that still use the old one are undisturbed, and a fork leaves no lock behind.
struct Pipeline {
  ModelPtr model;
  NormalizerPtr normalizer;
  PreTokenizerPtr pre_tokenizer;
  PostProcessorPtr post_processor;
  DecoderPtr decoder;
  std::shared_ptr<const AddedVocabulary> added = std::make_shared<AddedVocabulary>();
  std::optional<Truncation> truncation;
  std::optional<Padding> padding;
  bool encode_special_tokens = false;
  bool custom = false;  // a part is written in Python, and may ask where a text came from
  std::shared_ptr<ScratchPool> scratch;  // word caches, valid for this pipeline only
  std::shared_ptr<Derived> derived;      // likewise

  // The text cut at added tokens, and normalized between them.
  std::vector<Split> pieces(std::string_view text, bool tracked) const;
  // The text cut into added tokens and words.
  std::vector<Split> splits(std::string_view text, bool tracked, bool map_bytes) const;
  // One sequence without special tokens. `word`: the index that all its words get, or -1 to number them.
  void encode(std::string_view text, int32_t type_id, int32_t word, Encoding& out) const;
  // As encode(), for byte-level tokenizers; false for others.
  bool encode_bytes(std::string_view text, int32_t type_id, int32_t word, Encoding& out) const;
  // Truncates, adds special tokens, pads.
  Encoding finish(Encoding first, std::optional<Encoding> second, bool add_special_tokens) const;

  int32_t token_to_id(std::string_view token) const;
  // False when there is no such id.
  bool id_to_token(int64_t id, std::string& out) const;
  std::string decode(const std::vector<int64_t>& ids, bool skip_special_tokens) const;
};
using PipelinePtr = std::shared_ptr<const Pipeline>;

// Appends the tokens that a split came with.
void push_given(const Split& split, int32_t type_id, int32_t word, Encoding& out);

// One or two sequences, each a text or words.
struct Input {
  std::vector<std::string_view> first, second;
  bool has_second = false;
  bool first_words = false, second_words = false;
};

Encoding encode(const Pipeline& pipeline, const Input& input, bool add_special_tokens);

// Reads the parts of tokenizer.json that are not the components' own affair.
std::optional<Truncation> make_truncation(const Json& spec);
std::optional<Padding> make_padding(const Json& spec);
std::vector<AddedToken> make_added_tokens(const Json& spec);

}  // namespace enfold
