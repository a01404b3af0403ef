// Llama and other tokenizers whose spaces are marks: cut before every run of them.
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
      size_t end = at;
      auto mark = [&] { return text[end] == ' ' ? 1 : text[end] == kMark[0] && text.substr(end, 3) == kMark ? 3 : 0; };
      while (end < text.size()) {
        int width = mark();
        if (!width) break;
        end += width;
      }
      while (end < text.size() && !mark()) {
        ++end;
        if (cuts_ && end < text.size() && (text[end] & 0xC0) != 0x80 && !bpe_.joins((unsigned char)text[end - 1], (unsigned char)text[end])) break;
      }
      std::string_view piece = text.substr(at, end - at);
      bool room = text.size() - at >= 16;
      at = end;
      if (scratch.cache.find(piece, room, out)) continue;
      scratch.mapped.clear();
      for (char c : piece) c == ' ' ? scratch.mapped.append(kMark) : scratch.mapped.append(1, c);
      size_t before = out.size();
      scratch.pieces.clear();
      bpe_.tokenize(scratch.mapped, scratch.pieces);
      for (const Piece& found : scratch.pieces) out.push_back(found.id);
      scratch.cache.put(piece, out.data() + before, out.size() - before);
    }
  }

 private:
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
