#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <tuple>

#include "metrics/sequences.hpp"

namespace enfold::metrics {
namespace {

constexpr int infinite = 1 << 29;
constexpr int longest_shift = 10, farthest_shift = 50, most_candidates = 1000, beam = 25;

}  // namespace

int64_t TranslationEdits::operator()(Tokens said, Tokens right) {
  if (right.empty()) return int64_t(said.size());
  right_ = right;
  words_.assign(said.begin(), said.end());
  size_t width = right.size() + 1;
  base_.assign((words_.size() + 1) * width, infinite);  // cells beyond the band stay so
  for (size_t j = 0; j < width; ++j) base_[j] = int(j);
  table_ = base_;
  checked_ = 0;
  int shifts = 0;
  for (;;) {
    moved_ = words_;
    int before = distance(words_, 0);
    base_.swap(table_);
    align();
    Shift best = best_shift(before);
    if (checked_ >= most_candidates || best.gain <= 0) return shifts + before;
    shifted(best.start, best.length, best.target);
    words_ = moved_;
    ++shifts;
  }
}

// Fills `table_` for `words`, which up to `from` are those of `base_`. Only a band around the diagonal is looked at.
int TranslationEdits::distance(const std::vector<int32_t>& words, size_t from) {
  const int rows = int(words.size()), columns = int(right_.size()), width = columns + 1;
  const double ratio = rows ? double(columns) / rows : 1;
  const int reach = beam < ratio / 2 ? int(std::ceil(ratio / 2 + beam)) : beam;
  const int* above = base_.data() + from * width;
  for (int i = int(from) + 1; i <= rows; ++i) {
    const int middle = int(std::floor(i * ratio));
    const int begin = std::max(0, middle - reach);
    const int end = i == rows ? width : std::min(width, middle + reach);
    int* row = table_.data() + size_t(i) * width;
    const int32_t word = words[i - 1];
    int left = infinite;
    for (int j = begin; j < end; ++j) {
      int cost = above[j] + 1;
      if (j) cost = std::min({cost, above[j - 1] + (word != right_[j - 1]), left + 1});
      row[j] = left = std::min(cost, infinite);
    }
    above = row;
  }
  return above[columns];
}

// Walks back through `base_`: which words are wrong, and the said word at or before each right word.
void TranslationEdits::align() {
  const size_t width = right_.size() + 1;
  said_wrong_.assign(words_.size(), 1);
  right_wrong_.assign(right_.size(), 1);
  place_.assign(right_.size(), -1);
  size_t i = words_.size(), j = right_.size();
  while (i || j) {
    const int here = base_[i * width + j];
    // of several ways the one in which both step back comes first, then the one that drops a said word
    if (i && j && here == base_[(i - 1) * width + j - 1] + (words_[i - 1] != right_[j - 1])) {
      --i, --j;
      said_wrong_[i] = right_wrong_[j] = words_[i] != right_[j];
      place_[j] = int(i);
    } else if (i && (!j || here == base_[(i - 1) * width + j] + 1)) {
      --i;
    } else {
      --j;
      place_[j] = int(i) - 1;
    }
  }
}

TranslationEdits::Shift TranslationEdits::best_shift(int before) {
  const int said = int(words_.size()), right = int(right_.size());
  Shift best;
  auto wrong = [](const std::vector<char>& errors, int start, int length) {
    return std::any_of(errors.begin() + start, errors.begin() + start + length, [](char error) { return error; });
  };
  for (int start = 0; start < said; ++start) {
    const int last = std::min(right, start + farthest_shift + 1);
    for (int other = std::max(0, start - farthest_shift); other < last; ++other) {
      for (int length = 1; length <= longest_shift; ++length) {
        if (start + length > said || other + length > right) break;
        if (words_[start + length - 1] != right_[other + length - 1]) break;
        // a shift can only help where both places are wrong, and not into itself
        if (!wrong(said_wrong_, start, length) || !wrong(right_wrong_, other, length)) continue;
        if (start <= place_[other] && place_[other] < start + length) continue;
        int tried = -1;
        for (int offset = -1; offset < length; ++offset) {
          const int target = other + offset < 0 ? 0 : place_[other + offset] + 1;
          if (target == tried) continue;
          tried = target;
          shifted(start, length, target);
          const int gain = before - distance(moved_, size_t(std::min(start, target)));
          ++checked_;
          if (!best.found || std::tuple(gain, length, -start, -target) >
                                 std::tuple(best.gain, best.length, -best.start, -best.target))
            best = {gain, length, start, target, true};
        }
        if (checked_ >= most_candidates) return best;
      }
    }
  }
  return best;
}

// Makes `moved_`: `words_` with a phrase shifted before the word at `target`; within itself, by as many words.
void TranslationEdits::shifted(int start, int length, int target) {
  moved_ = words_;
  auto at = [&](int place) { return moved_.begin() + std::min(place, int(moved_.size())); };
  if (target < start) std::rotate(at(target), at(start), at(start + length));
  else if (target > start + length) std::rotate(at(start), at(start + length), at(target));
  else std::rotate(at(start), at(start + length), at(length + target));
}

}  // namespace enfold::metrics
