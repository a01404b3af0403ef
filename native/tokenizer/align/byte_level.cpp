// Byte-level tokens follow each other without a gap, and an id tells how many bytes it stands for.
#include <cstring>

#include "text/utf8.hpp"
#include "tokenizer/align/align.hpp"

namespace enfold {
namespace {

class ByteLevelAligner final : public Aligner {
 public:
  // `scan`: the words of the whole text, or null when only running the pre-tokenizer tells. `verify`: compare bytes, for
  // something before the model may have changed the text.
  ByteLevelAligner(const Pipeline& pipeline, const Bpe& bpe, Scanner scan, bool prefix_space, bool verify, bool verify_ascii)
      : pipeline_(pipeline), scan_(scan), prefix_space_(prefix_space), verify_(verify), verify_ascii_(verify_ascii) {
    bpe.vocab.each([&](std::string_view token, uint32_t id) {
      lengths_.resize(id + 1);
      size_t length = bpe.byte_length(int32_t(id));
      lengths_[id] = uint16_t(length > UINT16_MAX ? 0 : length);
      if (!verify_) return;
      starts_.resize(id + 1);
      starts_[id] = uint32_t(bytes_.size());
      append_bytes(token, bytes_);
      // A token that is not written in visible characters never comes out of the model.
      if (bytes_.size() - starts_[id] != length) bytes_.resize(starts_[id]), lengths_[id] = 0;
    });
    bytes_.append(16, '\0');
  }

  bool place(std::string_view text, bool starts, Unplaced& ids) const override {
    const int32_t* id = ids.id;
    Span* spans = ids.span;
    uint32_t at = ids.base, stop = ids.base + uint32_t(text.size());
    auto next = [&](uint32_t skip) {
      uint32_t length = size_t(*id) < lengths_.size() ? lengths_[size_t(*id)] : 0;
      if (length == 0 || length - skip > stop - at) return false;
      // The blank that is put in front belongs to the first character.
      *spans++ = {at, at + std::max(length - skip, 1u)};
      at += length - skip;
      ++id;
      return true;
    };
    if (prefix_space_ && text[0] != ' ' && id != ids.end && !next(1)) return false;
    while (at < stop && id != ids.end)
      if (!next(0)) return false;
    size_t count = size_t(id - ids.id);
    if (verify_ && (verify_ascii_ || beyond_ascii(text)) && !same(text, ids, count)) return false;
    if (ids.word && !number(text, ids, count)) return false;
    ids.id = id;
    ids.span = spans;
    return true;
  }

 private:
  static bool beyond_ascii(std::string_view text) {
    uint64_t all = 0;
    size_t at = 0;
    for (; at + 8 <= text.size(); at += 8) {
      uint64_t bytes;
      std::memcpy(&bytes, text.data() + at, 8);
      all |= bytes;
    }
    for (; at < text.size(); ++at) all |= uint64_t((unsigned char)text[at]);
    return all & 0x8080808080808080;
  }

  bool same(std::string_view text, const Unplaced& ids, size_t count) const {
    size_t put = prefix_space_ && text[0] != ' ', at = 0;
    for (size_t i = 0; i < count; ++i) {
      const char* bytes = bytes_.data() + starts_[size_t(ids.id[i])];
      size_t length = lengths_[size_t(ids.id[i])], skip = i == 0 ? put : 0;
      if (std::memcmp(bytes + skip, text.data() + at, length - skip) != 0) return false;
      at += length - skip;
    }
    return true;
  }

  // The words that the tokens belong to.
  bool number(std::string_view text, Unplaced& ids, size_t count) const {
    size_t put = prefix_space_ && text[0] != ' ', at = 0, i = 0;
    auto word = [&](size_t length) {
      size_t end = at + length;
      for (; i < count && at < end; ++i) {
        *ids.word++ = ids.words;
        at += lengths_[size_t(ids.id[i])];
      }
      ++ids.words;
      return i == count || at == end;
    };
    if (scan_) {
      std::string marked;
      if (put) marked.assign(" ").append(text), text = marked;
      for (size_t from = 0; from < text.size() && i < count;) {
        size_t to = scan_(text, from);
        if (!word(to - from)) return false;
        from = to;
      }
      return i == count;
    }
    std::vector<Split> splits(1);
    splits[0].text = Text::from(text, false);
    pipeline_.pre_tokenizer->run(splits, false);
    for (const Split& split : splits)
      if (i < count && !word(split.text.bytes.size())) return false;
    return i == count;
  }

  const Pipeline& pipeline_;
  Scanner scan_;
  bool prefix_space_, verify_, verify_ascii_;
  std::vector<uint16_t> lengths_;  // by id, in bytes; 0: not a token of bytes
  std::vector<uint32_t> starts_;   // by id, in bytes_
  std::string bytes_;
};

}  // namespace

AlignerPtr byte_level_aligner(const Pipeline& pipeline) {
  const auto* bpe = dynamic_cast<const Bpe*>(pipeline.model.get());
  if (!bpe || !bpe->byte_level()) return nullptr;
  if (pipeline.normalizer && pipeline.added->any_normalized()) return nullptr;
  bool normalizes = pipeline.normalizer != nullptr;
  const PreTokenizer* pre = pipeline.pre_tokenizer.get();
  if (const auto* level = dynamic_cast<const ByteLevelPreTokenizer*>(pre))
    return std::make_unique<ByteLevelAligner>(pipeline, *bpe, level->use_regex ? scan_gpt2 : nullptr, level->add_prefix_space, normalizes, normalizes);
  const auto* sequence = dynamic_cast<const PreTokenizerSequence*>(pre);
  if (!sequence || sequence->steps.empty()) return nullptr;
  for (const auto& step : sequence->steps) {
    const auto* level = dynamic_cast<const ByteLevelPreTokenizer*>(step.get());
    // A blank may be put before every word then.
    if (level && level->add_prefix_space) return nullptr;
    if ((level != nullptr) != (step == sequence->steps.back())) return nullptr;
  }
  const auto* scanner = dynamic_cast<const ScannerPreTokenizer*>(sequence->steps[0].get());
  const auto& last = static_cast<const ByteLevelPreTokenizer&>(*sequence->steps.back());
  Scanner scan = sequence->steps.size() == 2 && scanner && !last.use_regex ? scanner->scan : nullptr;
  bool changes = normalizes || !scan;
  return std::make_unique<ByteLevelAligner>(pipeline, *bpe, scan, false, changes, changes);
}

}  // namespace enfold
