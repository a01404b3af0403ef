// Places within words that no piece of a Unigram model lies across, in text that is written without blanks.
//
// Every way through a word leads through such a place, so the best way is the best one on each side of it. Between
// ideographs most places are so: sentences fall into parts of one or two characters, which come up again and again.
#pragma once

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string_view>
#include <vector>

#include "text/utf8.hpp"

namespace enfold {

struct Unigram;

class UnigramSeams {
 public:
  explicit UnigramSeams(const Unigram& model);

  // False where parts could come out another way than the whole: with odd scores, or bytes in the place of unknown characters.
  bool usable() const { return usable_; }

  // The token of a character that is a part by itself; `model` is the one that this was made for, or a copy of it.
  int32_t alone(const Unigram& model, std::string_view character) const {
    size_t at = 0;
    char32_t code = utf8_next(character, at);
    if (code >= kMostAlone) return measure(model, character);
    std::atomic<int32_t>& held = alone_[code];
    int32_t known = held.load(std::memory_order_relaxed);
    if (known == 0) held.store(known = measure(model, character) + 1, std::memory_order_relaxed);
    return known - 1;
  }
  // Calls found(begin, end) for the parts of a word, in order. Cut is between characters of which one at least has three
  // bytes, but not behind a mark at the beginning.
  template <class Found>
  void each(std::string_view word, Found found) const {
    size_t from = 0;
    uint32_t left = 0;
    for (size_t at = 0; at < word.size();) {
      size_t begin = at;
      uint32_t right = utf8_next(word, at);
      if (begin && (left > kNarrow || right > kNarrow) && left != kMarkCode && !joins(left, right)) {
        found(from, begin);
        from = begin;
      }
      left = right;
    }
    if (from < word.size()) found(from, word.size());
  }

 private:
  static constexpr uint32_t kNarrow = 0x7FF, kMarkCode = 0x2581;
  bool joins(uint32_t left, uint32_t right) const {
    uint64_t at = place(left, right);
    return bits_[at >> 6] >> (at & 63) & 1;
  }
  uint64_t place(uint32_t left, uint32_t right) const { return (uint64_t(left) << 21 | right) * 0x9E3779B97F4A7C15 >> shift_; }

  static int32_t measure(const Unigram& model, std::string_view character);

  static constexpr char32_t kMostAlone = 0x10000;
  bool usable_ = true;
  // By code point: a token + 1, or 0 before it is first asked for. From calloc, for pages of it that no text asks for then
  // take no memory and no time.
  std::unique_ptr<std::atomic<int32_t>[], decltype(&std::free)> alone_;
  std::vector<uint64_t> bits_;  // by hash: two neighbouring characters of a piece
  int shift_ = 0;
};

}  // namespace enfold
