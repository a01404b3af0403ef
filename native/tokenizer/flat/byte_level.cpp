// GPT-2 and its successors: raw bytes, cut by a known pattern.
#include "tokenizer/flat/path.hpp"

namespace enfold {
namespace {

class ByteLevelPath final : public FlatPath {
 public:
  ByteLevelPath(const Bpe& bpe, Scanner scan, bool prefix_space) : bpe_(bpe), scan_(scan), prefix_space_(prefix_space) {}

  void encode(std::string_view text, bool starts, std::vector<int32_t>& out, size_t limit, Scratch& scratch) const override {
    if (prefix_space_ && !text.empty() && text[0] != ' ') {
      scratch.buffer.assign(" ").append(text);
      text = scratch.buffer;
    }
    size_t start = out.size();
    for (size_t at = 0; at < text.size() && out.size() - start < limit;) {
      size_t end = scan_(text, at);
      std::string_view piece = text.substr(at, end - at);
      bool room = text.size() - at >= 16;
      at = end;
      if (scratch.cache.find(piece, room, out)) continue;
      size_t before = out.size();
      bpe_.tokenize_bytes(piece, out);
      scratch.cache.put(piece, out.data() + before, out.size() - before);
    }
  }

 private:
  const Bpe& bpe_;
  Scanner scan_;
  bool prefix_space_;
};

}  // namespace

FlatPathPtr byte_level_path(const Pipeline& pipeline) {
  const auto* bpe = dynamic_cast<const Bpe*>(pipeline.model.get());
  if (!bpe || !bpe->byte_level() || !bpe->deterministic() || pipeline.normalizer) return nullptr;
  const PreTokenizer* pre = pipeline.pre_tokenizer.get();
  if (const auto* level = dynamic_cast<const ByteLevelPreTokenizer*>(pre))
    return level->use_regex ? std::make_unique<ByteLevelPath>(*bpe, scan_gpt2, level->add_prefix_space) : nullptr;
  const auto* sequence = dynamic_cast<const PreTokenizerSequence*>(pre);
  if (!sequence || sequence->steps.size() != 2) return nullptr;
  const auto* scanner = dynamic_cast<const ScannerPreTokenizer*>(sequence->steps[0].get());
  const auto* level = dynamic_cast<const ByteLevelPreTokenizer*>(sequence->steps[1].get());
  if (!scanner || !level || level->use_regex || level->add_prefix_space) return nullptr;
  return std::make_unique<ByteLevelPath>(*bpe, scanner->scan, false);
}

}  // namespace enfold
