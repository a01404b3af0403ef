// BERT: the words stand in the text as they are, but for case; an id tells how long its part of a word is.
#include <array>
#include <atomic>
#include <bit>
#include <cstring>

#include "text/ascii_masks.hpp"
#include "text/utf8.hpp"
#include "tokenizer/align/align.hpp"

namespace enfold {
namespace {

// How the normalizer and the pre-tokenizer together see a character. Word and Punct: it becomes one character of the same
// width. Alone: an ideograph, a word of its own. Odd: a closer look is needed.
enum Kind : uint8_t { Unknown, Word, Space, Punct, Alone, Odd };

class BertAligner final : public Aligner {
 public:
  BertAligner(const WordPiece& model, const BertNormalizer& normalizer, const BertPreTokenizer& pre_tokenizer)
      : model_(model), normalizer_(normalizer), pre_tokenizer_(pre_tokenizer), kinds_(0x10000) {
    unk_ = model.vocab.find(model.unk_token);
    model.vocab.each([&](std::string_view token, uint32_t id) {
      lengths_.resize(id + 1);
      size_t cut = token.starts_with(model.prefix) ? model.prefix.size() : 0;
      lengths_[id] = uint16_t(std::min<size_t>(token.size() - cut, UINT16_MAX));
    });
    for (char32_t code = 0; code < 128; ++code) ascii_[code] = look(code);
  }

  bool place(std::string_view text, bool, Unplaced& ids) const override {
    // Windows of the text are classed 64 bytes at a time; what is not ASCII is looked at character by character.
    char copy[kWindow + 64];
    AsciiMasks masks[kWindow / 64 + 2];
    for (size_t base = 0; base < text.size() && !ids.done();) {
      size_t size = std::min(kWindow, text.size() - base), at = 0;
      bool last = base + size == text.size();
      classify(text.data() + base, size, copy, masks);
      while (!ids.done()) {
        uint64_t gap = ~window<&AsciiMasks::space>(masks, at);
        at += gap ? size_t(std::countr_zero(gap)) : 64;
        if (!gap) continue;
        if (at >= size) break;
        size_t length = size_t(std::countr_one(window<&AsciiMasks::word>(masks, at))), end = at + length;
        if (length == 0 && (masks[at >> 6].punct >> (at & 63) & 1)) {
          one(base + at, base + at + 1, ids);
          ++at;
        } else if (length > 0 && length < 64 && (end < size ? !odd(masks, end) : last)) {
          if (!word(base + at, base + end, ids)) return false;
          at = end;
        } else if (length > 0 && end >= size && at > 0) {
          break;  // again, in a window that begins with it
        } else if (!next(text, base, at, ids)) {
          return false;
        }
        if (at >= size) break;
      }
      base += at;
    }
    return true;
  }

 private:
  static constexpr size_t kWindow = 2048;

  static void classify(const char* in, size_t size, char* copy, AsciiMasks* masks) {
    size_t blocks = size / 64, tail = size % 64;
    ascii_masks(in, blocks, false, copy, masks);
    if (tail) {
      char* end = copy + blocks * 64;
      std::memcpy(end, in + blocks * 64, tail);
      std::memset(end + tail, 0, 64 - tail);
      ascii_masks(end, 1, false, end, masks + blocks++);
    }
    masks[blocks] = {};  // ends every run
  }
  // The 64 bits of one class from bit `at` on.
  template <uint64_t AsciiMasks::* kind>
  static uint64_t window(const AsciiMasks* masks, size_t at) {
    size_t shift = at & 63;
    const AsciiMasks* block = masks + (at >> 6);
    return block->*kind >> shift | ((block + 1)->*kind << 1) << (63 - shift);
  }
  static bool odd(const AsciiMasks* masks, size_t at) {
    const AsciiMasks& block = masks[at >> 6];
    return !((block.word | block.space | block.punct) >> (at & 63) & 1);
  }

  // Places the word, or what else begins at text[base + offset], and moves `offset` past it.
  bool next(std::string_view text, size_t base, size_t& offset, Unplaced& ids) const {
    const auto* p = reinterpret_cast<const unsigned char*>(text.data());
    size_t size = text.size(), at = base + offset, begin = at, width = 1;
    Kind first = kind(text, at, width);
    at += width;
    bool told = true;
    if (first == Punct || first == Alone) {
      one(begin, at, ids);
    } else if (first != Space) {
      Kind now = first;
      while (now == Word && at < size) {
        if (p[at] < 128) now = ascii_[p[at]], width = 1;
        else now = kind(text, at, width);
        if (now == Word) at += width;
      }
      if (now == Odd) {
        // Up to ASCII white space or punctuation, or an ideograph: these begin something new whatever was before.
        while (at < size) {
          now = kind(text, at, width);
          if (now == Alone || (width == 1 && (now == Space || now == Punct))) break;
          at += width;
        }
        told = look_closely(text.substr(begin, at - begin), begin, ids);
      } else {
        told = word(begin, at, ids);
      }
    }
    offset = at - base;
    return told;
  }

  Kind look(char32_t code) const {
    Text text;
    utf8_append(code, text.bytes);
    size_t width = text.bytes.size();
    if (normalizer_.chinese && is_ideograph(code)) return Alone;
    normalizer_.run(text);
    if (text.bytes.size() != width) return Odd;
    size_t at = 0;
    char32_t made = utf8_next(text.bytes, at);
    if (at != width) return Odd;
    uint16_t flags = char_flags(made);
    return flags & kWhite ? Space : flags & kPunct ? Punct : Word;
  }
  Kind kind(std::string_view text, size_t at, size_t& width) const {
    unsigned char lead = (unsigned char)text[at];
    width = 1;
    if (lead < 128) return ascii_[lead];
    size_t next = at;
    char32_t code = utf8_next(text, next);
    width = next - at;
    if (code >= kinds_.size()) return look(code);
    auto known = Kind(kinds_[code].load(std::memory_order_relaxed));
    if (known == Unknown) kinds_[code].store(known = look(code), std::memory_order_relaxed);
    return known;
  }

  static bool one(size_t begin, size_t end, Unplaced& ids) {
    ids.place(ids.base + uint32_t(begin), ids.base + uint32_t(end));
    ++ids.words;
    return true;
  }

  bool word(size_t begin, size_t end, Unplaced& ids) const {
    if (*ids.id == unk_) return one(begin, end, ids);
    while (begin < end && !ids.done()) {
      size_t length = size_t(*ids.id) < lengths_.size() ? lengths_[size_t(*ids.id)] : 0;
      if (length == 0 || length > end - begin) return false;
      ids.place(ids.base + uint32_t(begin), ids.base + uint32_t(begin + length));
      begin += length;
    }
    ++ids.words;
    return true;
  }

  // Goes the general way for a part of the text whose tokens depend on nothing around it.
  bool look_closely(std::string_view segment, size_t begin, Unplaced& ids) const {
    std::vector<uint32_t> bytes;  // where each character begins
    for (size_t at = 0; at < segment.size(); utf8_next(segment, at)) bytes.push_back(uint32_t(begin + at));
    bytes.push_back(uint32_t(begin + segment.size()));
    std::vector<Split> splits(1);
    splits[0].text = Text::from(segment, true);
    normalizer_.run(splits[0].text);
    pre_tokenizer_.run(splits, false);
    std::vector<Piece> pieces;
    for (const Split& split : splits) {
      if (ids.done()) return true;
      pieces.clear();
      model_.tokenize(split.text.bytes, pieces);
      for (const Piece& piece : pieces) {
        if (ids.done()) break;
        if (*ids.id != piece.id) return false;
        Span span = split.text.span(piece.begin, piece.end);
        ids.place(ids.base + bytes[span.begin], ids.base + bytes[span.end]);
      }
      ++ids.words;
    }
    return true;
  }

  const WordPiece& model_;
  const BertNormalizer& normalizer_;
  const BertPreTokenizer& pre_tokenizer_;
  int32_t unk_;
  std::vector<uint16_t> lengths_;  // by id, in bytes of a word
  std::array<Kind, 128> ascii_{};
  mutable std::vector<std::atomic<uint8_t>> kinds_;  // of the basic plane's characters, as they come up
};

}  // namespace

AlignerPtr bert_aligner(const Pipeline& pipeline) {
  const auto* model = dynamic_cast<const WordPiece*>(pipeline.model.get());
  const auto* pre_tokenizer = dynamic_cast<const BertPreTokenizer*>(pipeline.pre_tokenizer.get());
  const auto* normalizer = dynamic_cast<const BertNormalizer*>(pipeline.normalizer.get());
  if (!model || !pre_tokenizer || !normalizer || !normalizer->clean_text || pipeline.added->any_normalized()) return nullptr;
  return std::make_unique<BertAligner>(*model, *normalizer, *pre_tokenizer);
}

}  // namespace enfold
