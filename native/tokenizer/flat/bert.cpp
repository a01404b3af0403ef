// BERT: WordPiece over words cut at white space and punctuation.
//
// Windows of the text are classed 64 bytes at a time and lower-cased on the way. ASCII words of up to 16 characters are
// looked up in registers, whole or piece by piece (greedy longest match first), ASCII punctuation by its byte, ideographs
// and other characters that stand alone by their code point. What is left, words with accents and the like, goes through
// the normalizer, and then into the word cache under its raw bytes.
#include <atomic>
#include <cstdlib>
#include <memory>
#include <new>

#include "text/ascii_masks.hpp"
#include "text/utf8.hpp"
#include "tokenizer/flat/path.hpp"
#include "tokenizer/flat/word_table.hpp"

namespace enfold {

struct BertTables {
  // Values in `alone` other than a token's id + 1.
  static constexpr int32_t kUnknown = 0, kGap = -1, kJoins = -2;
  static constexpr char32_t kAlone = 0x30000;  // code points above are looked at each time

  WordTable whole, rest;
  std::array<int32_t, 128> punct{};
  // What becomes of a character that depends on nothing around it, filled in as characters are met.
  // From calloc, for pages of it that no text asks for then take no memory and no time.
  std::unique_ptr<std::atomic<int32_t>[], decltype(&std::free)> alone{static_cast<std::atomic<int32_t>*>(std::calloc(kAlone, sizeof(int32_t))), &std::free};

  explicit BertTables(const WordPiece& model) {
    auto plain = [](std::string_view text) {
      bool good = !text.empty() && text.size() <= WordTable::kLongest;
      for (char c : text) good = good && ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'));
      return good;
    };
    if (!alone) throw std::bad_alloc();
    std::vector<std::pair<std::string_view, int32_t>> wholes, rests;
    wholes.reserve(model.vocab.size());
    model.vocab.each([&](std::string_view token, uint32_t id) {
      if (plain(token)) wholes.emplace_back(token, int32_t(id));
      if (token.starts_with(model.prefix) && plain(token.substr(model.prefix.size()))) rests.emplace_back(token.substr(model.prefix.size()), int32_t(id));
    });
    whole = WordTable(wholes.size());
    rest = WordTable(rests.size());
    for (auto [word, id] : wholes) whole.add(word, id);
    for (auto [word, id] : rests) rest.add(word, id);
    int32_t unk = model.vocab.find(model.unk_token);
    for (size_t c = 0; c < punct.size(); ++c) {
      char text = char(c);
      int32_t id = model.vocab.find({&text, 1});
      punct[c] = id >= 0 && model.max_chars > 0 ? id : unk;
    }
  }
};

WordPiece::~WordPiece() {
  for (auto& made : tables) delete made.load();
}

namespace {

constexpr size_t kWindow = 2048;

class BertPath final : public FlatPath {
 public:
  BertPath(const WordPiece& model, const BertNormalizer& normalizer, const PreTokenizer& pre_tokenizer, int32_t unk)
      : model_(model), normalizer_(normalizer), pre_tokenizer_(pre_tokenizer), tables_(tables(model, normalizer)), unk_(unk),
        longest_(std::min(WordTable::kLongest, model.max_chars)) {}

  void encode(std::string_view text, bool, std::vector<int32_t>& out, size_t limit, Scratch& scratch) const override {
    char copy[kWindow + 64];
    AsciiMasks masks[kWindow / 64 + 2];
    const size_t start = out.size(), enough = limit < SIZE_MAX - start ? start + limit : SIZE_MAX;
    for (size_t base = 0; base < text.size() && out.size() - start < limit;) {
      size_t size = std::min(kWindow, text.size() - base);
      bool last = base + size == text.size();
      classify(text.data() + base, size, copy, masks);
      // A token takes a byte at least, but for those of odd characters, which see to their own room.
      size_t used = out.size();
      out.resize(used + size);
      int32_t *to = out.data() + used, *stop = to + std::min(enough - used, size);
      // Words wait in a queue while memory fetches their places in the table.
      Waiting queue[kQueue];
      size_t waiting = 0, at = 0;
      auto flush = [&] {
        for (size_t i = 0; i < waiting; ++i) to = word(queue[i], to, scratch);
        waiting = 0;
      };
      while (to + waiting < stop) {
        uint64_t gap = ~window<&AsciiMasks::space>(masks, at);
        if (!gap) {
          at += 64;
          continue;
        }
        at += size_t(std::countr_zero(gap));
        if (at >= size) break;
        size_t begin = at;
        size_t length = size_t(std::countr_one(window<&AsciiMasks::word>(masks, at)));
        at += length;
        if (length == 0) {
          if (masks[at >> 6].punct >> (at & 63) & 1) {
            queue[waiting++] = {0, 0, tables_.punct[(unsigned char)copy[at++]], 0};
            if (waiting == kQueue) flush();
            continue;
          }
        } else if (at < size ? !odd(masks, at) : last) {
          if (length <= longest_) [[likely]] {
            WordTable::Key key = WordTable::load(copy + begin) & WordTable::mask(length);
            size_t place = tables_.whole.prefetch(key);
            queue[waiting++] = {key, place, -1, uint32_t(length)};
            if (waiting == kQueue) flush();
            continue;
          }
        } else if (at >= size && begin > 0) {
          at = begin;  // again, in a window that begins with it
          break;
        }
        // Long, or with odd characters: from the text itself, at least to the end of the word.
        flush();
        if (to >= stop) {
          at = begin;
          break;
        }
        out.resize(size_t(to - out.data()));
        at = odd_word(text, base + begin, out, enough, scratch) - base;
        used = out.size();
        size_t left = at < size ? size - at : 0;
        out.resize(used + left);
        to = out.data() + used;
        stop = to + std::min(enough - std::min(enough, used), left);
      }
      flush();
      out.resize(size_t(to - out.data()));
      base += at;
    }
  }

 private:
  static const BertTables& tables(const WordPiece& model, const BertNormalizer& normalizer) {
    auto& held = model.tables[size_t(normalizer.clean_text) | size_t(normalizer.chinese) << 1 | size_t(normalizer.strip_accents) << 2 |
                              size_t(normalizer.lowercase) << 3];
    const BertTables* found = held.load();
    if (found) return *found;
    const auto* made = new BertTables(model);
    if (held.compare_exchange_strong(found, made)) return *made;
    delete made;  // another thread was first
    return *found;
  }

  void classify(const char* in, size_t size, char* copy, AsciiMasks* masks) const {
    size_t blocks = size / 64, tail = size % 64;
    ascii_masks(in, blocks, normalizer_.lowercase, copy, masks);
    if (tail) {
      char* end = copy + blocks * 64;
      std::memcpy(end, in + blocks * 64, tail);
      std::memset(end + tail, 0, 64 - tail);
      ascii_masks(end, 1, normalizer_.lowercase, end, masks + blocks++);
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

  struct Waiting {
    WordTable::Key key;
    size_t place;
    int32_t id;       // of punctuation; -1 for a word
    uint32_t length;  // of a word, up to 16 ASCII letters and digits
  };
  static constexpr size_t kQueue = 32;

  int32_t* word(const Waiting& waiting, int32_t* to, Scratch& scratch) const {
    int32_t id = waiting.id >= 0 ? waiting.id : tables_.whole.find(waiting.key, waiting.place);
    if (id >= 0) [[likely]] {
      *to = id;
      return to + 1;
    }
    // Lower-case words are their own raw text, as which the cache knows them.
    WordTable::Key key = waiting.key;
    char bytes[16];
    std::memcpy(bytes, &key, 16);
    std::string_view text(bytes, waiting.length);
    scratch.ids.clear();
    if (scratch.cache.find(text, true, scratch.ids)) return std::copy(scratch.ids.begin(), scratch.ids.end(), to);
    int32_t* begin = to;
    const WordTable* table = &tables_.whole;
    for (size_t left = waiting.length; left;) {
      size_t taken = left;
      id = table->longest(key, taken);
      if (id < 0) {
        *begin = unk_;
        to = begin + 1;
        break;
      }
      *to++ = id;
      left -= taken;
      key = left ? key >> (8 * taken) : 0;
      table = &tables_.rest;
    }
    scratch.cache.put(text, begin, size_t(to - begin));
    return to;
  }

  // Encodes from `begin`, within no word, to the next ASCII white space or punctuation, or until there are ids enough.
  // Returns where it stopped.
  size_t odd_word(std::string_view text, size_t begin, std::vector<int32_t>& out, size_t enough, Scratch& scratch) const {
    size_t at = begin;
    while (at < text.size()) {
      auto c = (unsigned char)text[at];
      if (c < 0x80) {
        if (c == ' ' || c == '\n' || c == '\t' || c == '\r' || (c > 0x20 && c < 0x7F && is_punct(c))) break;
        ++at;
        continue;
      }
      size_t from = at;
      int32_t known = alone(utf8_next(text, at));
      if (known == BertTables::kJoins) continue;
      if (from > begin) segment(text.substr(begin, from - begin), out, scratch);
      if (known > 0) out.push_back(known - 1);
      begin = at;
      if (out.size() >= enough) return at;
    }
    if (at > begin) segment(text.substr(begin, at - begin), out, scratch);
    return at;
  }

  int32_t alone(char32_t code) const {
    if (code >= BertTables::kAlone) return measure(code);
    std::atomic<int32_t>& held = tables_.alone[code];
    int32_t known = held.load(std::memory_order_relaxed);
    if (known == BertTables::kUnknown) held.store(known = measure(code), std::memory_order_relaxed);
    return known;
  }

  // A character depends on nothing around it when, normalized, it begins and ends with what separates words.
  int32_t measure(char32_t code) const {
    std::vector<Split> splits(1);
    std::string text;
    utf8_append(code, text);
    splits[0].text = Text::from(text, false);
    normalizer_.run(splits[0].text);
    const std::string& made = splits[0].text.bytes;
    if (made.empty()) return BertTables::kJoins;
    auto separates = [](char32_t c) { return (char_flags(c) & (kWhite | kPunct)) != 0; };
    size_t first = 0, end = made.size();
    if (!separates(utf8_next(made, first)) || !separates(utf8_previous(made, end))) return BertTables::kJoins;
    std::vector<Piece> pieces;
    pre_tokenizer_.run(splits, false);
    for (const Split& split : splits) model_.tokenize(split.text.bytes, pieces);
    return pieces.empty() ? BertTables::kGap : pieces.size() == 1 ? pieces[0].id + 1 : BertTables::kJoins;
  }

  // A part of the raw text whose tokens depend on nothing around it.
  void segment(std::string_view segment, std::vector<int32_t>& out, Scratch& scratch) const {
    if (scratch.cache.find(segment, false, out)) return;
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
  const BertTables& tables_;
  int32_t unk_;
  size_t longest_;
};

}  // namespace

FlatPathPtr bert_path(const Pipeline& pipeline) {
  const auto* model = dynamic_cast<const WordPiece*>(pipeline.model.get());
  const auto* pre_tokenizer = dynamic_cast<const BertPreTokenizer*>(pipeline.pre_tokenizer.get());
  const auto* normalizer = dynamic_cast<const BertNormalizer*>(pipeline.normalizer.get());
  if (!model || !pre_tokenizer || !normalizer || pipeline.added->any_normalized()) return nullptr;
  int32_t unk = model->vocab.find(model->unk_token);
  if (unk < 0) return nullptr;
  return std::make_unique<BertPath>(*model, *normalizer, *pre_tokenizer, unk);
}

}  // namespace enfold
