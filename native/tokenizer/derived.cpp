#include "tokenizer/derived.hpp"

#include <algorithm>

namespace enfold {

const FlatEncoder& flat_encoder(const Pipeline& pipeline) {
  return pipeline.derived->flat.get([&] { return FlatEncoder(pipeline); });
}

const DecodeTable& decode_table(const Pipeline& pipeline) {
  return pipeline.derived->decode.get([&] { return DecodeTable(pipeline); });
}

const Aligner* aligner(const Pipeline& pipeline) {
  return pipeline.derived->aligner.get([&] { return make_aligner(pipeline); }).get();
}

const std::vector<bool>& added_ids(const Pipeline& pipeline) {
  return pipeline.derived->added.get([&] {
    const auto& tokens = pipeline.added->by_id();
    std::vector<bool> made(tokens.empty() ? 0 : size_t(tokens.rbegin()->first) + 1);
    for (const auto& [id, token] : tokens) made[size_t(id)] = true;
    return made;
  });
}

const Layout& layout(const Pipeline& pipeline, bool pair, bool add_special_tokens) {
  return pipeline.derived->layouts[pair][add_special_tokens].get([&] {
    Layout made;
    const PostProcessor* processor = pipeline.post_processor.get();
    made.simple = as_template(processor, pair, made.pieces);
    made.trims = processor && processor->trims();
    auto times = [&](int sequence) {
      return std::count_if(made.pieces.begin(), made.pieces.end(), [&](const TemplatePiece& piece) { return piece.sequence == sequence; });
    };
    if (times(0) != 1 || times(1) != pair) made.simple = false;
    if (!add_special_tokens) std::erase_if(made.pieces, [](const TemplatePiece& piece) { return piece.sequence < 0; });
    return made;
  });
}

}  // namespace enfold
