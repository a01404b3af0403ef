// GPT-2 and its successors: raw bytes, cut by a known pattern.
#include <algorithm>
#include <cstring>
#include <iterator>
#include <utility>

#include "text/words.hpp"
#include "tokenizer/flat/look_up.hpp"
#include "tokenizer/flat/path.hpp"

namespace enfold {
namespace {

// Characters that stand for themselves in NFC, whatever is around them: those of most texts. In order.
constexpr std::pair<char32_t, char32_t> kComposed[] = {
    {0x0, 0x2FF},       {0x400, 0x482},     {0x48A, 0x52F},     {0x5D0, 0x5EA},     {0x2010, 0x2027}, {0x2030, 0x205E},
    {0x2190, 0x21FF},   {0x2500, 0x27BF},   {0x3001, 0x3029},   {0x3041, 0x3096},   {0x30A1, 0x30FA}, {0x30FC, 0x30FE},
    {0x4E00, 0x9FFF},   {0xAC00, 0xD7A3},   {0xFF01, 0xFFEE},   {0x1F300, 0x1FAFF}};

bool is_composed(std::string_view text) {
  for (size_t at = 0; at < text.size();) {
    if (uint64_t eight; text.size() - at >= 8 && (std::memcpy(&eight, text.data() + at, 8), (eight & 0x8080808080808080) == 0)) {
      at += 8;
      continue;
    }
    char32_t code = utf8_next(text, at);
    if (code < 0x300) continue;
    const auto* range = std::upper_bound(std::begin(kComposed), std::end(kComposed), code, [](char32_t c, const auto& r) { return c < r.first; }) - 1;
    if (code > range->second) return false;
  }
  return true;
}

class ByteLevelPath final : public FlatPath {
 public:
  ByteLevelPath(const Bpe& bpe, Scanner scan, bool prefix_space, const Normalizer* composing)
      : bpe_(bpe), scan_(scan), words_(word_scanner(scan)), prefix_space_(prefix_space), composing_(composing) {}

  void encode(std::string_view text, bool starts, std::vector<int32_t>& out, size_t limit, Scratch& scratch) const override {
    Text composed;
    if (composing_ && !is_composed(text)) {
      composed = Text::from(text, false);
      composing_->run(composed);
      text = composed.bytes;
    }
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
  const Normalizer* composing_;  // NFC, or null
};

}  // namespace

FlatPathPtr byte_level_path(const Pipeline& pipeline) {
  const auto* bpe = dynamic_cast<const Bpe*>(pipeline.model.get());
  const Normalizer* normalizer = pipeline.normalizer.get();
  if (!bpe || !bpe->takes_bytes()) return nullptr;
  if (normalizer && (!normalizer->composes() || pipeline.added->any_normalized())) return nullptr;
  auto made = [&](Scanner scan, bool prefix_space) { return std::make_unique<ByteLevelPath>(*bpe, scan, prefix_space, normalizer); };
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
