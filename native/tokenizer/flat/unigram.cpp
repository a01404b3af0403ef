// T5, XLM-R, DeBERTa-v3, ALBERT: Unigram over words that begin with a mark, after a normalizer.
//
// A text is cut before its blanks: no step of these normalizers looks across such a place, so every part can be
// normalized alone, and most need no normalizing. Parts go into the word cache under their raw bytes.
#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>

#include "text/graphemes.hpp"
#include "text/precompiled.hpp"
#include "text/utf8.hpp"
#include "tokenizer/flat/path.hpp"
#include "tokenizer/once.hpp"
#include "tokenizer/unigram.hpp"
#include "tokenizer/unigram_shape.hpp"

namespace enfold {
namespace {

class UnigramPath final : public FlatPath {
 public:
  explicit UnigramPath(UnigramShape shape) : model_(*shape.model), mark_(shape.mark), map_(shape.map()), steps_(std::move(shape.steps)) {
    for (int c = 0; c < 128; ++c) {
      char text = char(c);
      std::string made;
      normalize({&text, 1}, made);
      bool changed = made.size() != 1 || made[0] != text;
      for (const Normalizer* step : steps_.local)
        if (const auto* replace = dynamic_cast<const ReplaceNormalizer*>(step)) changed |= replace->pattern[0] == text;
      kinds_[size_t(c)] = text == ' ' ? Blank : changed || is_white(char32_t(c)) ? Odd : Plain;
    }
    ideographs_ = steps_.local.empty() || (map_ && map_->keeps_ideographs);
    for (int c = 128; c < 256; ++c) kinds_[size_t(c)] = Far;
  }

  void encode(std::string_view text, bool starts, std::vector<int32_t>& out, size_t limit, Scratch& scratch) const override {
    size_t given = text.size();
    trim(text, {steps_.before.left, false});
    starts = starts && text.size() == given;
    trim(text, {false, steps_.before.right});
    size_t start = out.size();
    std::string& pending = scratch.buffer;  // normalized, but what follows may still change where its blanks go
    pending.clear();
    bool first = true;
    bool put = mark_ == Mark::Always || (mark_ == Mark::First && starts);  // a mark before the first word
    const auto* p = reinterpret_cast<const unsigned char*>(text.data());
    size_t size = text.size();
    for (size_t at = 0; at < size && out.size() - start < limit;) {
      size_t begin = at;
      while (at < size && p[at] == ' ') ++at;
      size_t word = at;
      bool plain = scan(text, at);
      if (plain && pending.empty()) {
        if (!first && word > begin && at > word) {
          if (!steps_.collapse) blanks(word - begin - 1, out);
          piece(text.substr(word - 1, at - word + 1), size - word + 1 >= 16, out, scratch);
          continue;
        }
        if (first && at > word) {
          bool marked = put;
          if (word > begin && !steps_.after.left) {
            if (!steps_.collapse) blanks(word - begin - 1, out);
            marked = true;
          }
          first = false;
          if (marked) piece(scratch.mapped.assign(" ").append(text.substr(word, at - word)), false, out, scratch);
          else piece(text.substr(word, at - word), size - word >= 16, out, scratch);
          continue;
        }
      }
      // Something to normalize, or blanks at the end.
      std::string_view part = text.substr(begin, at - begin);
      bool whole = pending.empty() && !first && at < size;
      if (whole && scratch.cache.find(part, size - begin >= 16, out)) continue;
      if (plain) pending.append(part);
      else normalize(part, pending);
      if (pending.empty() || (at < size && ends_white(pending))) continue;
      size_t before = out.size();
      finish(pending, first, put, at == size, out, scratch);
      if (whole) scratch.cache.put(part, out.data() + before, out.size() - before);
      pending.clear();
    }
    if (!pending.empty() && out.size() - start < limit) finish(pending, first, put, true, out, scratch);
    pending.clear();
  }

 private:
  enum Kind : uint8_t { Plain, Blank, Odd, Far };

  static bool ends_white(std::string_view text) {
    size_t end = text.size();
    return is_white(utf8_previous(text, end));
  }

  // Moves `at` to where the part ends; true when it is its own normal form.
  bool scan(std::string_view text, size_t& at) const {
    const auto* p = reinterpret_cast<const unsigned char*>(text.data());
    bool plain = true, glued = false;  // glued: the next character hangs on to this one, even a blank
    for (size_t size = text.size(); at < size;) {
      Kind kind = kinds_[p[at]];
      if (kind == Plain) {
        ++at;
        glued = false;
      } else if (ideographs_ && utf8_ideograph(text, at)) {
        at += 3;
        glued = false;
      } else if (kind == Far) {
        char32_t code = utf8_next(text, at);
        uint8_t cls = cluster_class(code);
        glued = (cls & kClusterMask) == kClusterPrepend;
        plain = plain && !cluster_joins(cls) && keeps(code);
      } else if (kind == Blank && !glued) {
        break;
      } else {
        ++at;
        plain = glued = false;
      }
    }
    return plain;
  }

  // Whether a character that does not join with others stays as it is.
  bool keeps(char32_t code) const {
    if (code == 0x2581 || is_white(code)) return false;
    return steps_.local.empty() || (map_ && !map_->map.changes(code));
  }

  void normalize(std::string_view part, std::string& out) const {
    if (map_) return map_->append(part, out);
    Text text = Text::from(part, false);
    for (const Normalizer* step : steps_.local) step->run(text);
    out.append(text.bytes);
  }

  // The pieces of one word that begins with a blank, which stands for the mark, or without one.
  void piece(std::string_view raw, bool room, std::vector<int32_t>& out, Scratch& scratch) const {
    if (scratch.cache.find(raw, room, out)) return;
    size_t before = out.size();
    if (raw[0] == ' ') word_ids(std::string(kMark).append(raw.substr(1)), 0, out, scratch);
    else word_ids(raw, 0, out, scratch);
    scratch.cache.put(raw, out.data() + before, out.size() - before);
  }

  // The pieces of words that are a mark alone, as indentation is made of.
  void blanks(size_t count, std::vector<int32_t>& out) const {
    if (count == 0) return;
    const std::vector<int32_t>& ids = blank_.get([&] {
      std::vector<int32_t> made;
      model_.tokenize_ids(kMark, made);
      return made;
    });
    while (count--) out.insert(out.end(), ids.begin(), ids.end());
  }

  // The pieces of a normalized word that begins with a blank, which stands for the mark. Remembered beside parts of words, which
  // have no blanks: the raw text of another word may look the same.
  void normal_piece(std::string_view text, bool room, std::vector<int32_t>& out, Scratch& scratch) const {
    if (text.size() == 1) return blanks(1, out);
    bool small = text.size() <= WordCache::kInline;
    if (small)
      if (const WordCache::Slot* slot = scratch.cache.find_part(text, room)) return void(out.insert(out.end(), slot->ids, slot->ids + slot->count()));
    std::string& word = scratch.mapped.assign(kMark).append(text.substr(1));  // raw text that is remembered begins with no mark
    size_t before = out.size();
    if (!scratch.cache.find(word, false, out)) {
      word_ids(word, 0, out, scratch);
      size_t count = out.size() - before;
      if (small && count <= 4) scratch.cache.put_part(text, out.data() + before, count);
      else scratch.cache.put(word, out.data() + before, count);
    }
    word.clear();
  }

  // The pieces of normalized text that ends where the blanks of what follows do not matter to it.
  void finish(std::string_view text, bool& first, bool put, bool last, std::vector<int32_t>& out, Scratch& scratch) const {
    trim(text, {first && steps_.after.left, last && steps_.after.right});
    if (text.empty()) return;
    std::string& word = scratch.mapped;
    word.clear();
    if (first && put && text[0] != ' ' && !text.starts_with(kMark)) word = kMark;
    first = false;
    auto put_word = [&] {
      if (word.empty()) return;
      size_t size = word.size();
      word.append(16, 0);
      word_ids({word.data(), size}, 16, out, scratch);
      word.clear();
    };
    for (size_t at = 0; at < text.size();) {
      bool blank = text[at] == ' ';
      if (blank && steps_.collapse)
        while (at + 1 < text.size() && text[at + 1] == ' ') ++at;
      if (size_t end = blank ? word_end(text, at + 1) : at; end > at && (end == text.size() || text[end] == ' ')) {
        put_word();
        normal_piece(text.substr(at, end - at), text.size() - at >= 16, out, scratch);
        at = end;
      } else if (blank || (text[at] == kMark[0] && text.substr(at, kMark.size()) == kMark)) {
        put_word();
        word = kMark;
        at += blank ? 1 : kMark.size();
      } else {
        size_t from = at++;
        at = word_end(text, at);
        word.append(text.substr(from, at - from));
      }
    }
    put_word();
  }

  // Where the word around `at` may end: at a blank, or at what may be a mark.
  static size_t word_end(std::string_view text, size_t at) {
    while (at < text.size() && text[at] != ' ' && text[at] != kMark[0]) ++at;
    return at;
  }

  // Whether there has been enough text in scripts without blanks to find out where it can be cut.
  bool due(size_t bytes) const {
    constexpr size_t kEnough = 8 << 10;
    size_t seen = wide_.load(std::memory_order_relaxed);
    if (seen < kEnough) wide_.store(seen += bytes, std::memory_order_relaxed);
    return seen >= kEnough;
  }

  // The pieces of a normalized word. Long ones in scripts without blanks are cut at their seams, and their parts remembered.
  // `after`: how many bytes may be read behind it.
  void word_ids(std::string_view word, size_t after, std::vector<int32_t>& out, Scratch& scratch) const {
    constexpr size_t kShort = 9, kLong = 2000;
    static constexpr int32_t kUnclear = INT32_MAX;  // stands for the tokens of parts that the words around them may decide on
    auto wide = [](char c) { return (unsigned char)c >= 0xE3; };
    if (word.size() <= kShort || word.size() > kLong || std::none_of(word.begin(), word.end(), wide) || !due(word.size()) || !model_.seams().usable())
      return model_.tokenize_ids(word, out);
    size_t before = out.size();
    bool clear = true;
    const UnigramSeams& seams = model_.seams();
    seams.each(word, [&](size_t begin, size_t end) {
      if (!clear) return;
      std::string_view part = word.substr(begin, end - begin);
      size_t start = out.size();
      if (part.size() == utf8_width((unsigned char)part[0])) {
        out.push_back(seams.alone(model_, part));
      } else if (const WordCache::Slot* slot = part.size() <= WordCache::kInline ? scratch.cache.find_part(part, word.size() - begin + after >= 16) : nullptr) {
        if (slot->ids[0] == kUnclear) return void(clear = false);
        out.insert(out.end(), slot->ids, slot->ids + slot->count());
      } else {
        clear = model_.tokenize_clearly(part, out);
        if (clear) scratch.cache.put_part(part, out.data() + start, out.size() - start);
        else scratch.cache.put_part(part, &kUnclear, 1);
      }
      // Unknown characters in a row are one token.
      if (clear && start > before && model_.keeps_text(out[start]) && model_.keeps_text(out[start - 1])) out.erase(out.begin() + std::ptrdiff_t(start));
    });
    if (clear) return;
    out.resize(before);
    model_.tokenize_ids(word, out);
  }

  const Unigram& model_;
  Mark mark_;
  const PrecompiledNormalizer* map_;  // where it is all there is to normalizing
  UnigramSteps steps_;
  std::array<Kind, 256> kinds_{};
  bool ideographs_ = false;  // whether they stay as they are
  mutable Once<std::vector<int32_t>> blank_;
  mutable std::atomic<size_t> wide_{0};  // bytes of words that might be cut, up to some
};

}  // namespace

FlatPathPtr unigram_path(const Pipeline& pipeline) {
  std::optional<UnigramShape> shape = unigram_shape(pipeline);
  if (!shape || pipeline.added->any_normalized()) return nullptr;
  // Where a first word's first character came from would have to be known.
  if (shape->mark == Mark::First && (shape->steps.after.left || (!shape->steps.local.empty() && !shape->map()))) return nullptr;
  return std::make_unique<UnigramPath>(std::move(*shape));
}

}  // namespace enfold
