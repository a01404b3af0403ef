// GPT-2 and its successors: raw bytes, cut by a known pattern.
#include <algorithm>
#include <atomic>

#include "text/words.hpp"
#include "tokenizer/flat/look_up.hpp"
#include "tokenizer/flat/path.hpp"
#include "tokenizer/seams.hpp"

namespace enfold {
namespace {

class ByteLevelPath final : public FlatPath {
 public:
  ByteLevelPath(const Bpe& bpe, Scanner scan, bool prefix_space, bool composes)
      : bpe_(bpe), scan_(scan), words_(word_scanner(scan)), prefix_space_(prefix_space), composes_(composes), seams_(bpe.byte_level()) {}

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
      bool high = !words_;
      if (words_) {
        at = words_(text, at, ends, kLookUpWords, count, high);
      } else {
        while (at < text.size() && count < kLookUpWords) ends[count++] = at = scan_(text, at);
      }
      if (high && seams_ && due(text, begin, ends, count)) cut_and_look_up(text, begin, ends, count, out, scratch);
      else look(text, begin, ends, count, out, scratch);
    }
  }

 private:
  void look(std::string_view text, size_t begin, const size_t* ends, size_t count, std::vector<int32_t>& out, Scratch& scratch) const {
    auto miss = [&](std::string_view word) {
      size_t before = out.size();
      bpe_.tokenize_bytes(word, out);
      return !bpe_.ignore_merges || !seams_ || !(word.back() & 0x80) || merges(word, before, out);
    };
    look_up(text, begin, ends, count, out, scratch.cache, bpe_.ignore_merges ? &bpe_.wholes() : nullptr, miss);
  }

  // Where words that are tokens are not merged: whether merging would have come to the same tokens, out[before] and on. If not,
  // such a word and a part of one that reads the same differ, and what is remembered must not depend on which came first.
  bool merges(std::string_view word, size_t before, std::vector<int32_t>& out) const {
    if (out.size() != before + 1) return true;  // it was merged
    bpe_.merge_word(word, out);
    bool same = out.size() == before + 2 && out[before] == out[before + 1];
    out.resize(before + 1);
    return same;
  }

  // Whether there has been enough text to cut for finding out where: a few quotes and accents are not worth it.
  bool due(std::string_view text, size_t begin, const size_t* ends, size_t count) const {
    constexpr size_t kEnough = 8 << 10;
    size_t seen = wide_.load(std::memory_order_relaxed);
    if (seen >= kEnough) return true;
    // Words that end in a character of three bytes, but for the dashes and dots of typographers.
    auto wide = [&](size_t end) { return (text[end - 3] & 0xF0) == 0xE0 && (unsigned char)text[end - 3] != 0xE2; };
    for (size_t i = 0, at = begin; i < count; at = ends[i++])
      if (text[ends[i] - 1] & 0x80 && ends[i] - at > 6 && wide(ends[i])) seen += ends[i] - at;
    wide_.store(seen, std::memory_order_relaxed);
    return false;
  }

  // As look(), after cutting words that end in characters above ASCII at their seams.
  void cut_and_look_up(std::string_view text, size_t begin, const size_t* ends, size_t count, std::vector<int32_t>& out, Scratch& scratch) const {
    constexpr size_t kPart = 2 * kLookUpWords;  // bytes of a word that are cut at a time
    const Seams& seams = bpe_.seams();
    size_t cuts[kLookUpWords + kPart + 1], made = 0;
    const char* first = text.data() + begin;
    auto flush = [&] {
      for (size_t done = 0; done < made;) {
        size_t some = std::min(made - done, kLookUpWords);
        look_up(text, begin, cuts + done, some, out, scratch.cache, nullptr, [&](std::string_view part) {
          size_t before = out.size();
          if (!seams.tokenize(part, out)) bpe_.merge_word(part, out);
          // Where a token is not what merging makes of it, a word and a part of one differ: then neither is remembered.
          int32_t token = bpe_.ignore_merges ? bpe_.whole(part) : -1;
          if (token < 0 || (out.size() == before + 1 && out[before] == token)) return true;
          const char *from = part.data(), *to = from + part.size();
          auto ends_at = [&](const char* place) { return std::binary_search(ends, ends + count, size_t(place - text.data())); };
          if (ends_at(to) && (from == first || ends_at(from))) out.resize(before), out.push_back(token);
          return false;
        });
        begin = cuts[(done += some) - 1];
      }
      made = 0;
    };
    for (size_t i = 0, at = begin; i < count; at = ends[i++]) {
      if (text[ends[i] - 1] & 0x80 && !seams.keeps_whole(text.substr(at, ends[i] - at))) {
        // In parts that end where characters do.
        for (size_t from = at; from < ends[i];) {
          size_t to = ends[i];
          if (to - from > kPart)
            for (to = from + kPart; (text[to] & 0xC0) == 0x80;) --to;
          made += seams.find(text, from, to, from == at, cuts + made);
          if (made >= kLookUpWords) flush();
          if (to == from) to = ends[i];  // not UTF-8
          from = to;
        }
      }
      cuts[made++] = ends[i];
      if (made >= kLookUpWords) flush();
    }
    flush();
  }

  const Bpe& bpe_;
  Scanner scan_;
  WordScanner words_;  // null: there is only the scanner for single words
  bool prefix_space_;
  bool composes_;  // to NFC
  bool seams_;     // whether words may be cut at their seams
  mutable std::atomic<size_t> wide_{0};  // bytes of words that might be cut, up to some
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
