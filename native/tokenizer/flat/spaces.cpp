// Llama and other tokenizers whose spaces are marks: cut before every run of them.
#include "tokenizer/flat/look_up.hpp"
#include "tokenizer/flat/path.hpp"

namespace enfold {
namespace {

constexpr std::string_view kMark = "\u2581";
enum class Mark { Never, First, Always, Unconditional };

class SpacesPath final : public FlatPath {
 public:
  SpacesPath(const Bpe& bpe, Mark mark) : bpe_(bpe), mark_(mark), cuts_(bpe.falls_back()) {}

  void encode(std::string_view text, bool starts, std::vector<int32_t>& out, size_t limit, Scratch& scratch) const override {
    if (text.empty()) return;
    bool marked = text[0] == ' ' || text.starts_with(kMark);
    if (mark_ == Mark::Unconditional || (!marked && (mark_ == Mark::Always || (mark_ == Mark::First && starts)))) {
      scratch.buffer.assign(" ").append(text);
      text = scratch.buffer;
    }
    size_t start = out.size();
    for (size_t at = 0; at < text.size() && out.size() - start < limit;) {
      size_t ends[kLookUpWords], count = 0, begin = at;
      while (at < text.size() && count < kLookUpWords) ends[count++] = at = piece_end(text, at);
      look_up(text, begin, ends, count, out, scratch.cache, nullptr, [&](std::string_view piece) {
        scratch.mapped.clear();
        for (char c : piece) c == ' ' ? scratch.mapped.append(kMark) : scratch.mapped.append(1, c);
        scratch.pieces.clear();
        bpe_.tokenize(scratch.mapped, scratch.pieces);
        for (const Piece& found : scratch.pieces) out.push_back(found.id);
        return true;
      });
    }
  }

 private:
  // Where the marks at `at` and what follows them up to the next mark end, or a place before it that no merge reaches across.
  size_t piece_end(std::string_view text, size_t at) const {
    auto mark = [&] { return text[at] == ' ' ? 1 : text[at] == kMark[0] && text.substr(at, 3) == kMark ? 3 : 0; };
    while (at < text.size()) {
      int width = mark();
      if (!width) break;
      at += width;
    }
    while (at < text.size() && !mark()) {
      ++at;
      if (cuts_ && at < text.size() && (text[at] & 0xC0) != 0x80 && !bpe_.joins((unsigned char)text[at - 1], (unsigned char)text[at])) break;
    }
    return at;
  }

  const Bpe& bpe_;
  Mark mark_;   // where one is put in front
  bool cuts_;   // also at places that no merge reaches across
};

}  // namespace

FlatPathPtr spaces_path(const Pipeline& pipeline) {
  const auto* bpe = dynamic_cast<const Bpe*>(pipeline.model.get());
  if (!bpe || bpe->byte_level() || !bpe->deterministic() || pipeline.added->any_normalized() || !bpe->cuts_before(kMark)) return nullptr;
  if (!pipeline.pre_tokenizer) {
    const auto* sequence = dynamic_cast<const NormalizerSequence*>(pipeline.normalizer.get());
    if (!sequence || sequence->steps.size() != 2) return nullptr;
    const auto* prepend = dynamic_cast<const PrependNormalizer*>(sequence->steps[0].get());
    const auto* replace = dynamic_cast<const ReplaceNormalizer*>(sequence->steps[1].get());
    if (!prepend || !replace || prepend->prefix != kMark || replace->pattern != " " || replace->content != kMark) return nullptr;
    return std::make_unique<SpacesPath>(*bpe, Mark::Unconditional);
  }
  const auto* metaspace = dynamic_cast<const MetaspacePreTokenizer*>(pipeline.pre_tokenizer.get());
  if (!metaspace || pipeline.normalizer || metaspace->replacement != kMark || metaspace->split) return nullptr;
  Mark mark = metaspace->scheme == MetaspacePreTokenizer::Always  ? Mark::Always
              : metaspace->scheme == MetaspacePreTokenizer::First ? Mark::First
                                                                  : Mark::Never;
  return std::make_unique<SpacesPath>(*bpe, mark);
}

}  // namespace enfold
