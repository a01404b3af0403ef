// What sequences of tokens share, and how many edits lie between them.
#pragma once

#include <cstdint>
#include <vector>

#include "metrics/numbering.hpp"
#include "metrics/pairs.hpp"

namespace enfold::metrics {

// N-grams of one text that others have as well.
class NgramCounter {
 public:
  // Adds to shared[n - 1] the n-grams of `said` that also occur in a text of `right`, at most as often as in the one
  // that has them most often.
  void count(const Pairs& pairs, size_t said, size_t right_begin, size_t right_end, size_t order, int64_t* shared);

 private:
  Numbering numbers_;
  std::vector<uint32_t> grams_;
  std::vector<int32_t> mine_, most_, here_;
};

// Bit-parallel tables over two sequences, 64 columns at a time.
class Aligner {
 public:
  // The least number of insertions, deletions and substitutions (Levenshtein).
  // Source: G. Myers, JACM 46(3), 1999, with the blocks of H. Hyyrö, "A bit-vector algorithm for computing Levenshtein
  // and Damerau edit distances", 2003.
  int64_t edits(Tokens first, Tokens second);
  // The length of the longest common subsequence. Source: H. Hyyrö, "Bit-parallel LCS-length computation revisited",
  // 2004.
  int64_t common(Tokens first, Tokens second);
  // Marks in `hit` the places in `first` of a longest common subsequence; of several, the one that a walk from the
  // table's end finds which prefers a step back in `first`.
  void mark_common(Tokens first, Tokens second, std::vector<char>& hit);
  // ROUGE-Lsum: how many tokens of the right lines lie on a common subsequence with any said line, none counted more
  // often than it occurs on either side.
  int64_t union_hits(const std::vector<Tokens>& said, const std::vector<Tokens>& right);

 private:
  void masks(Tokens columns);
  const uint64_t* mask(int32_t token) const;

  Numbering numbers_;
  size_t blocks_ = 0;
  std::vector<uint64_t> masks_, zero_, up_, down_, rows_;
  std::vector<char> hit_;
  std::vector<int32_t> left_said_, left_right_;
};

// Edits after the shifts of phrases that pay: the translation edit rate's numerator.
// Source: M. Snover et al., "A study of translation edit rate with targeted human annotation", AMTA 2006, with the
// limits of Tercom and the banded table that sacrebleu reports its scores with.
class TranslationEdits {
 public:
  int64_t operator()(Tokens said, Tokens right);

 private:
  struct Shift {
    int gain = 0;
    int length = 0, start = 0, target = 0;
    bool found = false;
  };
  int distance(const std::vector<int32_t>& words, size_t from);
  void align();
  Shift best_shift(int before);
  void shifted(int start, int length, int target);

  Tokens right_;
  std::vector<int32_t> words_, moved_;
  std::vector<int> table_, base_;        // rows over said words, columns over right words; of `moved_` and of `words_`
  std::vector<int> place_;               // the said word before or at each right word
  std::vector<char> said_wrong_, right_wrong_;
  int checked_ = 0;
};

}  // namespace enfold::metrics
