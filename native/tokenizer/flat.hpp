// Encoding a column of texts straight into flat buffers: ids, and where each row begins.
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "tokenizer/cache.hpp"
#include "tokenizer/tokenizer.hpp"

namespace enfold {

// Turns one text into ids without special tokens. Words go through a cache; known kinds of tokenizers never build a
// normalized text at all.
class FlatEncoder {
 public:
  explicit FlatEncoder(const Pipeline& pipeline);
  // Appends the ids of `text`. May stop after `limit` ids; never gives fewer of them than there are.
  void encode(std::string_view text, std::vector<int32_t>& out, size_t limit, Scratch& scratch) const;

 private:
  enum class Kind { Generic, Bert, Bytes, Spaces };
  void generic(std::string_view text, std::vector<int32_t>& out, size_t limit, Scratch& scratch) const;
  void bert(std::string_view text, std::vector<int32_t>& out, size_t limit, Scratch& scratch) const;
  void bert_segment(std::string_view segment, bool room, std::vector<int32_t>& out, Scratch& scratch) const;
  void bytes(std::string_view text, std::vector<int32_t>& out, size_t limit, Scratch& scratch) const;
  void spaces(std::string_view text, bool starts, std::vector<int32_t>& out, size_t limit, Scratch& scratch) const;
  void word(std::string_view word, std::vector<int32_t>& out, Scratch& scratch) const;

  const Pipeline& pipeline_;
  Kind kind_ = Kind::Generic;
  bool raw_bytes_ = false;  // the model takes the bytes as they are
  bool cached_ = true;
  const Bpe* bpe_ = nullptr;
  Scanner scan_ = nullptr;
  bool prefix_space_ = false;
  bool cuts_ = false;  // at places that no merge reaches across
  const BertNormalizer* bert_normalizer_ = nullptr;
  enum class Mark { Never, First, Always, Unconditional } mark_ = Mark::Never;
};

struct FlatBatch {
  std::vector<int32_t> offsets{0};  // rows + 1
  std::unique_ptr<int32_t[]> ids, type_ids, attention, special;
};

struct FlatRequest {
  std::vector<std::string_view> first, second;
  bool pair = false, add_special_tokens = true;
  size_t max_length = SIZE_MAX;
  bool want_type_ids = true, want_attention = true, want_special = false;
};

// Encodes all rows on all threads. Throws std::runtime_error for rows that cannot be encoded, std::overflow_error for more
// than 2^31 - 1 tokens.
std::shared_ptr<FlatBatch> encode_flat(const Pipeline& pipeline, const FlatRequest& request);

}  // namespace enfold
