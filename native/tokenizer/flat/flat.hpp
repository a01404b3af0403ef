// Encoding a column of texts straight into flat buffers: ids, and where each row begins.
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "tokenizer/flat/path.hpp"

namespace enfold {

// Turns one text into ids without special tokens. Words go through a cache; known kinds of tokenizers never build a
// normalized text at all.
class FlatEncoder {
 public:
  explicit FlatEncoder(const Pipeline& pipeline);
  // Appends the ids of `text`. May stop after `limit` ids; never gives fewer of them than there are.
  void encode(std::string_view text, std::vector<int32_t>& out, size_t limit, Scratch& scratch) const;

 private:
  void generic(std::string_view text, std::vector<int32_t>& out, size_t limit, Scratch& scratch) const;

  const Pipeline& pipeline_;
  FlatPathPtr path_;                  // null: word by word, as everything else does
  const Bpe* raw_bytes_ = nullptr;    // the model, where it takes the bytes as they are
  bool cached_ = true, tracked_ = false;
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
  bool count_only = false;  // then `ids` holds how many each row has, and there is nothing else
};

// Encodes all rows on all threads. Throws std::runtime_error for rows that cannot be encoded, std::overflow_error for more
// than 2^31 - 1 tokens.
std::shared_ptr<FlatBatch> encode_flat(const Pipeline& pipeline, const FlatRequest& request);

}  // namespace enfold
