// What is worked out from a pipeline when it is first needed, and kept with it.
#pragma once

#include <memory>

#include "tokenizer/align/align.hpp"
#include "tokenizer/decode_table.hpp"
#include "tokenizer/flat/flat.hpp"
#include "tokenizer/once.hpp"

namespace enfold {

// What stands around the ids of one sequence or of two, where every sequence stands in it once.
struct Layout {
  bool simple = false, trims = false;  // trims: offsets are changed after all
  std::vector<TemplatePiece> pieces;
};

struct Derived {
  Once<FlatEncoder> flat;
  Once<AlignerPtr> aligner;
  Once<Layout> layouts[2][2];     // [pair][special tokens]
  Once<DecodeTable> decode;
  Once<std::vector<bool>> added;  // by id: whether it is an added token's
};

// As its name says, for a pipeline that has its Derived.
const FlatEncoder& flat_encoder(const Pipeline& pipeline);
const DecodeTable& decode_table(const Pipeline& pipeline);
const Aligner* aligner(const Pipeline& pipeline);
const std::vector<bool>& added_ids(const Pipeline& pipeline);
const Layout& layout(const Pipeline& pipeline, bool pair, bool add_special_tokens);

}  // namespace enfold
