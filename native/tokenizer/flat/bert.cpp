// BERT: WordPiece over words cut at white space and punctuation.
#include <array>

#include "tokenizer/flat/path.hpp"

namespace enfold {
namespace {

// How BERT's pre-tokenizer sees ASCII characters; everything that needs a closer look is Odd.
enum BertClass : uint8_t { BertWord, BertSpace, BertPunct, BertOdd };
consteval std::array<uint8_t, 256> bert_classes() {
  std::array<uint8_t, 256> made{};
  for (int c = 0; c < 256; ++c) {
    bool alnum = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    bool space = c == ' ' || c == '\t' || c == '\n' || c == '\r';
    made[c] = alnum ? BertWord : space ? BertSpace : c > 0x20 && c < 0x7F ? BertPunct : BertOdd;
  }
  return made;
}
constexpr std::array<uint8_t, 256> kBertClass = bert_classes();

class BertPath final : public FlatPath {
 public:
  BertPath(const WordPiece& model, const BertNormalizer& normalizer, const PreTokenizer& pre_tokenizer)
      : model_(model), normalizer_(normalizer), pre_tokenizer_(pre_tokenizer) {}

  void encode(std::string_view text, bool starts, std::vector<int32_t>& out, size_t limit, Scratch& scratch) const override {
    size_t start = out.size(), size = text.size();
    const auto* p = reinterpret_cast<const unsigned char*>(text.data());
    for (size_t at = 0; at < size && out.size() - start < limit;) {
      uint8_t cls = kBertClass[p[at]];
      if (cls == BertSpace) {
        ++at;
        continue;
      }
      size_t begin = at++;
      if (cls == BertWord) {
        while (at < size && kBertClass[p[at]] == BertWord) ++at;
        if (at < size && kBertClass[p[at]] == BertOdd) cls = BertOdd;
      }
      if (cls == BertOdd) {
        // Up to ASCII white space or punctuation; ideographs stand alone.
        at = begin;
        while (at < size && (kBertClass[p[at]] == BertWord || kBertClass[p[at]] == BertOdd)) {
          size_t from = at;
          char32_t code = utf8_next(text, at);
          if (normalizer_.chinese && is_ideograph(code)) {
            if (from > begin) at = from;
            break;
          }
        }
      }
      word(text.substr(begin, at - begin), size - begin >= 16, out, scratch);
    }
  }

 private:
  // A part of the raw text whose tokens depend on nothing around it.
  void word(std::string_view segment, bool room, std::vector<int32_t>& out, Scratch& scratch) const {
    if (scratch.cache.find(segment, room, out)) return;
    size_t before = out.size();
    std::vector<Split> splits(1);
    splits[0].text = Text::from(segment, false);
    normalizer_.run(splits[0].text);
    pre_tokenizer_.run(splits, false);
    for (const Split& split : splits) {
      scratch.pieces.clear();
      model_.tokenize(split.text.bytes, scratch.pieces);
      for (const Piece& piece : scratch.pieces) out.push_back(piece.id);
    }
    scratch.cache.put(segment, out.data() + before, out.size() - before);
  }

  const WordPiece& model_;
  const BertNormalizer& normalizer_;
  const PreTokenizer& pre_tokenizer_;
};

}  // namespace

FlatPathPtr bert_path(const Pipeline& pipeline) {
  const auto* model = dynamic_cast<const WordPiece*>(pipeline.model.get());
  const auto* pre_tokenizer = dynamic_cast<const BertPreTokenizer*>(pipeline.pre_tokenizer.get());
  const auto* normalizer = dynamic_cast<const BertNormalizer*>(pipeline.normalizer.get());
  if (!model || !pre_tokenizer || !normalizer || !normalizer->clean_text || pipeline.added->any_normalized()) return nullptr;
  return std::make_unique<BertPath>(*model, *normalizer, *pre_tokenizer);
}

}  // namespace enfold
