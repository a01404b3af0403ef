#include <algorithm>
#include <stdexcept>

#include "tokenizer/flat/flat.hpp"

namespace enfold {
namespace {

bool marks_first(const PreTokenizer* step) {
  if (const auto* metaspace = dynamic_cast<const MetaspacePreTokenizer*>(step)) return metaspace->scheme == MetaspacePreTokenizer::First;
  const auto* sequence = dynamic_cast<const PreTokenizerSequence*>(step);
  return sequence && std::any_of(sequence->steps.begin(), sequence->steps.end(), [](const auto& part) { return marks_first(part.get()); });
}

}  // namespace

FlatEncoder::FlatEncoder(const Pipeline& pipeline) : pipeline_(pipeline) {
  if (!pipeline.model) throw std::runtime_error("this tokenizer has no model");
  cached_ = pipeline.model->deterministic();
  for (auto make : {byte_level_path, bert_path, spaces_path, unigram_path})
    if ((path_ = make(pipeline))) return;
  // Whether a word begins the text is asked of its alignment.
  tracked_ = pipeline.normalizer && marks_first(pipeline.pre_tokenizer.get());
  // A byte-level model can take the bytes as they are when mapping them is the last step.
  const auto* bpe = dynamic_cast<const Bpe*>(pipeline.model.get());
  const auto* sequence = dynamic_cast<const PreTokenizerSequence*>(pipeline.pre_tokenizer.get());
  const PreTokenizer* last = sequence && !sequence->steps.empty() ? sequence->steps.back().get() : pipeline.pre_tokenizer.get();
  if (bpe && bpe->byte_level() && dynamic_cast<const ByteLevelPreTokenizer*>(last)) raw_bytes_ = bpe;
}

void FlatEncoder::encode(std::string_view text, std::vector<int32_t>& out, size_t limit, Scratch& scratch) const {
  if (!path_) return generic(text, out, limit, scratch);
  const AddedVocabulary& added = *pipeline_.added;
  size_t start = out.size();
  auto piece = [&](std::string_view part, bool starts) {
    if (size_t have = out.size() - start; have < limit) path_->encode(part, starts, out, limit - have, scratch);
  };
  added.cut(text, added.raw(), pipeline_.encode_special_tokens, [&](size_t begin, size_t end, int32_t id) {
    if (id >= 0) return out.push_back(id);
    std::string_view part = text.substr(begin, end - begin);
    if (!added.any_normalized()) return piece(part, begin == 0);
    added.cut(part, added.normalized(), pipeline_.encode_special_tokens, [&](size_t from, size_t to, int32_t found) {
      if (found >= 0) out.push_back(found);
      else piece(part.substr(from, to - from), begin == 0 && from == 0);
    });
  });
}

void FlatEncoder::generic(std::string_view text, std::vector<int32_t>& out, size_t limit, Scratch& scratch) const {
  size_t start = out.size();
  for (const Split& split : pipeline_.splits(text, tracked_, !raw_bytes_)) {
    if (out.size() - start >= limit) return;
    if (split.tokens) {
      for (const GivenToken& token : *split.tokens) out.push_back(int32_t(token.id));
      continue;
    }
    if (split.added >= 0) {
      out.push_back(split.added);
      continue;
    }
    std::string_view bytes = split.text.bytes;
    if (cached_ && scratch.cache.find(bytes, false, out)) continue;
    size_t before = out.size();
    if (raw_bytes_) {
      raw_bytes_->tokenize_bytes(bytes, out);
    } else {
      scratch.pieces.clear();
      pipeline_.model->tokenize(bytes, scratch.pieces);
      for (const Piece& piece : scratch.pieces) out.push_back(piece.id);
    }
    if (cached_) scratch.cache.put(bytes, out.data() + before, out.size() - before);
  }
}

}  // namespace enfold
