// GPT-2 and its successors: raw bytes, cut by a known pattern.
#include <cstring>

#include "text/words.hpp"
#include "tokenizer/flat/path.hpp"

namespace enfold {
namespace {

class ByteLevelPath final : public FlatPath {
 public:
  ByteLevelPath(const Bpe& bpe, Scanner scan, bool prefix_space) : bpe_(bpe), scan_(scan), words_(word_scanner(scan)), prefix_space_(prefix_space) {}

  void encode(std::string_view text, bool starts, std::vector<int32_t>& out, size_t limit, Scratch& scratch) const override {
    if (prefix_space_ && !text.empty() && text[0] != ' ') {
      scratch.buffer.assign(" ").append(text);
      text = scratch.buffer;
    }
    size_t start = out.size();
    for (size_t at = 0; at < text.size() && out.size() - start < limit;) {
      size_t ends[kWords], count = 0;
      size_t begin = at;
      if (words_) {
        at = words_(text, at, ends, kWords, count);
      } else {
        while (at < text.size() && count < kWords) ends[count++] = at = scan_(text, at);
      }
      look_up(text, begin, ends, count, out, scratch);
    }
  }

 private:
  static constexpr size_t kWords = 128;

  // Appends the tokens of the words that end at `ends`. All their places in the cache are asked for before the first is
  // looked at, so that the waiting overlaps.
  void look_up(std::string_view text, size_t begin, const size_t* ends, size_t count, std::vector<int32_t>& out, Scratch& scratch) const {
    WordCache::Key keys[kWords];
    uint64_t hashes[kWords];
    WordCache& cache = scratch.cache;
    for (size_t i = 0, at = begin; i < count; at = ends[i++]) {
      size_t length = ends[i] - at;
      if (length > WordCache::kInline) {
        keys[i].high = 0;
        continue;
      }
      keys[i] = WordCache::make_key(text.substr(at, length), text.size() - at >= 16);
      cache.prefetch(hashes[i] = WordCache::hash(keys[i]));
    }
    int32_t made[kWords * 4];
    size_t filled = 0;
    for (size_t i = 0, at = begin; i < count; at = ends[i++]) {
      if (keys[i].high) [[likely]]
        if (const WordCache::Slot* slot = cache.find(keys[i], hashes[i])) [[likely]] {
          std::memcpy(made + filled, slot->ids, 16);
          filled += 1 + (slot->ids[1] >= 0) + (slot->ids[2] >= 0) + (slot->ids[3] >= 0);
          continue;
        }
      out.insert(out.end(), made, made + filled);
      filled = 0;
      std::string_view word = text.substr(at, ends[i] - at);
      if (word.size() <= WordCache::kLongest && cache.find_long(word, out)) continue;
      size_t before = out.size();
      bpe_.tokenize_bytes(word, out);
      cache.put(word, out.data() + before, out.size() - before);
    }
    out.insert(out.end(), made, made + filled);
  }

  const Bpe& bpe_;
  Scanner scan_;
  WordScanner words_;  // null: there is only the scanner for single words
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
