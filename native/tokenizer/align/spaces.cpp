// Llama and other tokenizers whose spaces are marks: a token is as long as its text, but for the marks at its beginning.
#include "tokenizer/align/align.hpp"

namespace enfold {
namespace {

constexpr std::string_view kMark = "\u2581";

class SpacesAligner final : public Aligner {
 public:
  enum Put { Never, AtStart, Always, Unconditional };

  SpacesAligner(const Bpe& bpe, Put put) : put_(put), unk_(bpe.unk_token ? bpe.vocab.find(*bpe.unk_token) : -1) {
    std::array<int32_t, 256> bytes;
    for (int byte = 0; byte < 256; ++byte) {
      char name[8];
      std::snprintf(name, sizeof name, "<0x%02X>", byte);
      bytes[size_t(byte)] = bpe.byte_fallback ? bpe.vocab.find(name) : -1;
    }
    bpe.vocab.each([&](std::string_view token, uint32_t id) {
      shapes_.resize(id + 1);
      size_t marks = 0;
      while (token.substr(marks * kMark.size(), kMark.size()) == kMark) ++marks;
      size_t rest = token.size() - marks * kMark.size();
      if (marks < UINT16_MAX && rest < UINT16_MAX) shapes_[id] = {uint16_t(marks), uint16_t(rest)};
    });
    // As a model's result such a token is one byte of a character that has no token.
    for (int32_t id : bytes)
      if (id >= 0) shapes_[size_t(id)] = {0, 1};
  }

  bool place(std::string_view text, bool starts, Unplaced& ids) const override {
    bool marked = text[0] == ' ' || text.starts_with(kMark);
    bool put = put_ == Unconditional || (!marked && (put_ == Always || (put_ == AtStart && starts)));
    size_t at = 0;
    while ((at < text.size() || put) && !ids.done()) {
      if (*ids.id == unk_ || size_t(*ids.id) >= shapes_.size()) return false;
      auto [marks, rest] = shapes_[size_t(*ids.id)];
      if (marks + rest == 0) return false;
      size_t end = at;
      for (size_t i = 0; i < marks; ++i) {
        if (put) put = false;
        else if (end < text.size() && text[end] == ' ') ++end;
        else if (text.substr(std::min(end, text.size())).starts_with(kMark)) end += kMark.size();
        else return false;
      }
      end += rest;
      if (end > text.size()) return false;
      // The mark that is put in front belongs to the first character.
      ids.place(ids.base + uint32_t(at), ids.base + uint32_t(std::max<size_t>(end, 1)));
      at = end;
    }
    ++ids.words;  // the model sees all of it at once
    return at == text.size() || ids.done();
  }

 private:
  struct Shape {
    uint16_t marks = 0, rest = 0;  // rest in bytes
  };
  Put put_;
  int32_t unk_;
  std::vector<Shape> shapes_;  // by id
};

}  // namespace

AlignerPtr spaces_aligner(const Pipeline& pipeline) {
  const auto* bpe = dynamic_cast<const Bpe*>(pipeline.model.get());
  if (!bpe || bpe->byte_level() || pipeline.added->any_normalized() || !bpe->cuts_before(kMark)) return nullptr;
  if (!pipeline.pre_tokenizer) {
    const auto* sequence = dynamic_cast<const NormalizerSequence*>(pipeline.normalizer.get());
    if (!sequence || sequence->steps.size() != 2) return nullptr;
    const auto* prepend = dynamic_cast<const PrependNormalizer*>(sequence->steps[0].get());
    const auto* replace = dynamic_cast<const ReplaceNormalizer*>(sequence->steps[1].get());
    if (!prepend || !replace || prepend->prefix != kMark || replace->pattern != " " || replace->content != kMark) return nullptr;
    return std::make_unique<SpacesAligner>(*bpe, SpacesAligner::Unconditional);
  }
  const auto* metaspace = dynamic_cast<const MetaspacePreTokenizer*>(pipeline.pre_tokenizer.get());
  if (!metaspace || pipeline.normalizer || metaspace->replacement != kMark || metaspace->split) return nullptr;
  using Scheme = MetaspacePreTokenizer::Scheme;
  return std::make_unique<SpacesAligner>(*bpe, metaspace->scheme == Scheme::Always  ? SpacesAligner::Always
                                               : metaspace->scheme == Scheme::First ? SpacesAligner::AtStart
                                                                                    : SpacesAligner::Never);
}

}  // namespace enfold
