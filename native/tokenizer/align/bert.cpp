// BERT: the words stand in the text as they are, but for case; an id tells how long its part of a word is.
#include <array>
#include <atomic>

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

  bool place(std::string_view text, bool starts, Unplaced& ids) const override {
    const auto* p = reinterpret_cast<const unsigned char*>(text.data());
    size_t size = text.size();
    for (size_t at = 0; at < size && !ids.done();) {
      size_t begin = at, width = 1;
      Kind first = kind(text, at, width);
      at += width;
      if (first == Space) continue;
      if (first == Punct || first == Alone) {
        if (!one(begin, at, ids)) return false;
        continue;
      }
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
        if (!look_closely(text.substr(begin, at - begin), begin, ids)) return false;
      } else if (!word(begin, at, ids)) {
        return false;
      }
    }
    return true;
  }

 private:
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
