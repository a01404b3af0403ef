// How one kind of tokenizer turns raw text into ids without building words: the fast ways that flat encoding knows.
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "tokenizer/cache.hpp"
#include "tokenizer/tokenizer.hpp"

namespace enfold {

struct FlatPath {
  virtual ~FlatPath() = default;
  // Appends the ids of `text`, which holds no added tokens. May stop after `limit` ids; never gives fewer of them than
  // there are. `starts`: the text is the beginning of the input.
  virtual void encode(std::string_view text, bool starts, std::vector<int32_t>& out, size_t limit, Scratch& scratch) const = 0;
};
using FlatPathPtr = std::unique_ptr<FlatPath>;

// Each is null for pipelines of another kind.
FlatPathPtr byte_level_path(const Pipeline& pipeline);
FlatPathPtr bert_path(const Pipeline& pipeline);
FlatPathPtr spaces_path(const Pipeline& pipeline);
FlatPathPtr unigram_path(const Pipeline& pipeline);

}  // namespace enfold
