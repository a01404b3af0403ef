// T5, XLM-R, DeBERTa-v3: the text is walked as its normalized form, and an id tells how much of that it stands for.
#include <array>

#include "text/graphemes.hpp"
#include "text/utf8.hpp"
#include "tokenizer/align/align.hpp"
#include "tokenizer/unigram_shape.hpp"

namespace enfold {
namespace {

class UnigramAligner final : public Aligner {
 public:
  explicit UnigramAligner(UnigramShape shape) : mark_(shape.mark), map_(shape.map()), steps_(std::move(shape.steps)) {
    const Unigram& model = *shape.model;
    if (model.unk_id) {
      unk_ = int32_t(*model.unk_id);
      std::string_view name = model.vocab.token(unk_);
      for (size_t i = 0, at = 0; i < 2 && at < name.size(); ++i) name_[i] = utf8_next(name, at);
    }
    model.vocab.each([&](std::string_view token, uint32_t id) {
      tokens_.resize(id + 1);
      size_t width = token.empty() ? 0 : utf8_width((unsigned char)token[0]), zero = 0;
      if (width && width == token.size()) set_single(utf8_next(token, zero));
      // As a model's result such a token may be one byte of a character that has no token.
      if (token.size() < UINT16_MAX && !(model.byte_fallback && fallback_byte(token) >= 0)) tokens_[id].length = uint16_t(token.size());
    });
    model.vocab.each([&](std::string_view token, uint32_t id) {
      size_t at = 0;
      tokens_[id].known_start = !token.empty() && single(utf8_next(token, at));
    });
    for (int c = 0; c < 128; ++c)
      kinds_[size_t(c)] = c == ' ' ? Blank : c > ' ' && c < 127 && !(map_ && map_->map.changes(char32_t(c))) ? Plain : Other;
    for (int c = 128; c < 256; ++c) kinds_[size_t(c)] = Other;
  }

  bool place(std::string_view text, bool starts, Unplaced& ids) const override {
    const char* whole = text.data();
    size_t given = text.size();
    trim(text, {steps_.before.left, false});
    starts = starts && text.size() == given;
    trim(text, {false, steps_.before.right});
    if (steps_.after.right) text = text.substr(0, last_black(text));
    Walk walk{*this, ids, ids.base + uint32_t(text.data() - whole), mark_ == Mark::Always || (mark_ == Mark::First && starts)};
    const auto* p = reinterpret_cast<const unsigned char*>(text.data());
    size_t size = text.size();
    for (size_t at = 0; at < size;) {
      Kind kind = kinds_[p[at]];
      if (kind == Plain) {
        size_t end = at + 1;
        while (end < size && kinds_[p[end]] == Plain) ++end;
        // The last character may hang together with what follows.
        if (end < size && p[end] >= 0x80) --end;
        if (end > at) {
          if (!walk.run(p, at, end)) return false;
          at = end;
          continue;
        }
      } else if (kind == Blank && (at + 1 == size || p[at + 1] < 0x80)) {
        if (!walk.feed(' ', at, at + 1)) return false;
        ++at;
        continue;
      }
      size_t next = at;
      char32_t code = utf8_next(text, next);
      if (together(text, code, next)) {
        size_t end = cluster_end(text, at);
        std::string_view found, cluster = text.substr(at, end - at);
        if (map_ && cluster.size() <= CharsMap::kLongest && map_->map.find(cluster, found)) {
          if (!walk.put(cluster, found, at)) return false;
        } else {
          for (size_t from = at; from < end;) {
            size_t to = from;
            code = utf8_next(text, to);
            if (!one(text, code, from, to, walk)) return false;
            from = to;
          }
        }
        at = end;
      } else {
        if (!one(text, code, at, next, walk)) return false;
        at = next;
      }
    }
    return walk.end();
  }

 private:
  enum Kind : uint8_t { Plain, Blank, Other };
  static constexpr char32_t kNone = ~char32_t(0);
  struct Token {
    uint16_t length = 0;       // in bytes of normalized text; 0: it may stand for something else
    bool known_start = false;  // its first character is a token, so that an unknown one ends before it
  };

  // Takes the normalized text, character by character, and gives every token its part.
  struct Walk {
    const UnigramAligner& self;
    Unplaced& ids;
    uint32_t base;  // where the text begins in the whole one
    bool put_mark;  // before the first word
    bool any = false, pending = false, unknown = false, extra = false, walked = false;
    uint32_t blank[2] = {}, token_begin = 0, token_end = 0, need = 0;
    char32_t last = 0;  // of an unknown token, so far
    std::string text = {};

    // One character and where it came from.
    bool feed(char32_t code, size_t begin, size_t end) {
      walked = true;
      extra = false;
      if (code == ' ') {
        if (!any && self.steps_.after.left) return true;
        if (!self.steps_.collapse) return mark(begin, end);
        pending = true;  // the last of a run stands for it
        blank[0] = uint32_t(begin), blank[1] = uint32_t(end);
        return true;
      }
      if (!any && self.steps_.after.left && !pending && is_white(code)) return true;
      if (pending && !mark(blank[0], blank[1])) return false;
      if (code == 0x2581) return mark(begin, end);
      if (!any && !first(begin, end)) return false;
      return take(uint32_t(code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4), code, begin, end);
    }

    // Several that are one byte each and nothing special.
    bool run(const unsigned char* p, size_t begin, size_t end) {
      walked = true;
      extra = false;
      if (pending && !mark(blank[0], blank[1])) return false;
      if (!any && !first(begin, begin + 1)) return false;
      while (begin < end) {
        if (need == 0) {
          if (!take(1, p[begin], begin, begin + 1)) return false;
          ++begin;
          continue;
        }
        uint32_t step = std::min(need, uint32_t(end - begin));
        begin += step;
        if ((need -= step) == 0) ids.place(token_begin, base + uint32_t(begin));
      }
      return true;
    }

    // Characters at `at` that the map makes others of. One by one; what is too many came from the last.
    bool put(std::string_view part, std::string_view made, size_t at) {
      if (made.empty()) {
        // The ecosystem swallows it with the character before; without one, and behind one that was put in, that moves
        // other places.
        return walked && !extra;
      }
      size_t begin = 0, end = 0;
      bool more = false;
      for (size_t i = 0; i < made.size();) {
        if (end < part.size()) begin = end, utf8_next(part, end);
        else more = true;
        char32_t code = utf8_next(made, i);
        if (!feed(code, at + begin, at + end)) return false;
      }
      extra = more;
      return true;
    }

    bool end() {
      if (pending && !self.steps_.after.right && !mark(blank[0], blank[1])) return false;
      if (unknown && !close()) return false;
      if (any) ++ids.words;
      return need == 0;
    }

   private:
    bool first(size_t begin, size_t end) {
      if (put_mark) return mark(begin, end);
      return any = true;
    }
    // A mark: a word begins.
    bool mark(size_t begin, size_t end) {
      pending = false;
      if (need || (unknown && !close())) return false;
      if (any) ++ids.words;
      any = true;
      return take(uint32_t(kMark.size()), 0x2581, begin, end);
    }
    // The unknown token ends here. A token that follows must not have begun within it.
    bool close() {
      unknown = false;
      ids.name(std::move(text));
      ids.place(token_begin, token_end);
      return ids.done() || (size_t(*ids.id) < self.tokens_.size() && self.tokens_[size_t(*ids.id)].known_start);
    }
    bool take(uint32_t length, char32_t code, size_t begin, size_t end) {
      if (unknown) {
        if (!self.single(code)) {
          token_end = base + uint32_t(end);
          last = code;
          if (ids.names) utf8_append(code, text);
          return true;
        }
        // It may be the unknown token's own name.
        if ((last == self.name_[0] && code == self.name_[1]) || !close()) return false;
      }
      if (need == 0) {
        if (ids.done()) return false;
        token_begin = base + uint32_t(begin);
        if (*ids.id == self.unk_) {
          unknown = true;
          token_end = base + uint32_t(end);
          last = code;
          text.clear();
          if (ids.names) utf8_append(code, text);
          return !self.single(code);
        }
        if (size_t(*ids.id) >= self.tokens_.size() || !(need = self.tokens_[size_t(*ids.id)].length)) return false;
      }
      if (length > need) return false;
      if ((need -= length) == 0) ids.place(token_begin, base + uint32_t(end));
      return true;
    }
  };

  // Whether the character hangs together with the one at `next`.
  static bool together(std::string_view text, char32_t code, size_t next) {
    if (next == text.size()) return false;
    if (code < 0x80 && (unsigned char)text[next] < 0x80) return code == '\r' && text[next] == '\n';
    return (cluster_class(code) & kClusterMask) == kClusterPrepend || cluster_joins(cluster_class(utf8_next(text, next)));
  }
  bool one(std::string_view text, char32_t code, size_t begin, size_t end, Walk& walk) const {
    std::string_view found;
    if (map_ && map_->map.find(code, found)) return walk.put(text.substr(begin, end - begin), found, begin);
    return walk.feed(code, begin, end);
  }
  // Where the text ends without what is white space once it is normalized.
  size_t last_black(std::string_view text) const {
    size_t end = text.size();
    for (size_t at = end; at > 0; end = at) {
      char32_t code = utf8_previous(text, at);
      std::string_view found;
      bool white = is_white(code);
      if (map_ && map_->map.find(code, found)) {
        white = true;
        for (size_t i = 0; i < found.size();) white &= is_white(utf8_next(found, i));
      }
      if (!white) break;
    }
    return end;
  }
  bool single(char32_t code) const { return singles_[code >> 6] >> (code & 63) & 1; }
  void set_single(char32_t code) { singles_[code >> 6] |= uint64_t(1) << (code & 63); }

  Mark mark_;
  const PrecompiledNormalizer* map_;
  UnigramSteps steps_;
  int32_t unk_ = -1;
  char32_t name_[2] = {kNone, kNone};  // what the unknown token's name begins with
  std::vector<Token> tokens_;  // by id
  std::vector<uint64_t> singles_ = std::vector<uint64_t>(0x110000 / 64);  // a bit for every character that is a token
  std::array<Kind, 256> kinds_{};
};

}  // namespace

AlignerPtr unigram_aligner(const Pipeline& pipeline) {
  std::optional<UnigramShape> shape = unigram_shape(pipeline);
  if (!shape || pipeline.added->any_normalized() || (!shape->steps.local.empty() && !shape->map())) return nullptr;
  return std::make_unique<UnigramAligner>(std::move(*shape));
}

}  // namespace enfold
