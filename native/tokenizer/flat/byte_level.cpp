// GPT-2 and its successors: raw bytes, cut by a known pattern.
#include "text/words.hpp"
#include "tokenizer/flat/look_up.hpp"
#include "tokenizer/flat/path.hpp"

namespace enfold {
namespace {

class ByteLevelPath final : public FlatPath {
 public:
  ByteLevelPath(const Bpe& bpe, Scanner scan, bool prefix_space, bool composes)
      : bpe_(bpe), scan_(scan), words_(word_scanner(scan)), prefix_space_(prefix_space), composes_(composes) {}

  void encode(std::string_view text, bool starts, std::vector<int32_t>& out, size_t limit, Scratch& scratch) const override {
    if (composes_ && compose(text, scratch.mapped)) text = scratch.mapped;
    if (prefix_space_ && !text.empty() && text[0] != ' ') {
      scratch.buffer.assign(" ").append(text);
      text = scratch.buffer;
    }
    size_t start = out.size();
    for (size_t at = 0; at < text.size() && out.size() - start < limit;) {
      size_t ends[kLookUpWords], count = 0;
      size_t begin = at;
      if (words_) {
        at = words_(text, at, ends, kLookUpWords, count);
      } else {
        while (at < text.size() && count < kLookUpWords) ends[count++] = at = scan_(text, at);
      }
      look_up(text, begin, ends, count, out, scratch.cache, [&](std::string_view word) { bpe_.tokenize_bytes(word, out); });
    }
  }

 private:
  const Bpe& bpe_;
  Scanner scan_;
  WordScanner words_;  // null: there is only the scanner for single words
  bool prefix_space_;
  bool composes_;  // to NFC
};

}  // namespace

FlatPathPtr byte_level_path(const Pipeline& pipeline) {
  const auto* bpe = dynamic_cast<const Bpe*>(pipeline.model.get());
  const Normalizer* normalizer = pipeline.normalizer.get();
  if (!bpe || !bpe->takes_bytes()) return nullptr;
  if (normalizer && (!normalizer->composes() || pipeline.added->any_normalized())) return nullptr;
  auto made = [&](Scanner scan, bool prefix_space) { return std::make_unique<ByteLevelPath>(*bpe, scan, prefix_space, normalizer != nullptr); };
  const PreTokenizer* pre = pipeline.pre_tokenizer.get();
  if (const auto* level = dynamic_cast<const ByteLevelPreTokenizer*>(pre)) return level->use_regex ? made(scan_gpt2, level->add_prefix_space) : nullptr;
  const auto* sequence = dynamic_cast<const PreTokenizerSequence*>(pre);
  if (!sequence || sequence->steps.size() != 2) return nullptr;
  const auto* level = dynamic_cast<const ByteLevelPreTokenizer*>(sequence->steps[1].get());
  if (!level || level->add_prefix_space) return nullptr;
  if (level->use_regex) return sequence->steps[0]->isolates_digits() ? made(scan_gpt2_digits, false) : nullptr;
  const auto* scanner = dynamic_cast<const ScannerPreTokenizer*>(sequence->steps[0].get());
  return scanner ? made(scanner->scan, false) : nullptr;
}

}  // namespace enfold
