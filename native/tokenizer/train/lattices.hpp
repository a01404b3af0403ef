// Every way to cut every word of a corpus into pieces, kept while the set of pieces shrinks.
#pragma once

#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

namespace enfold {

class Lattices {
 public:
  struct Edge {
    uint32_t piece, length;  // from a character on, over so many
  };
  // A piece that is unknown, and the score of one character of it.
  static constexpr uint32_t kUnk = 0;

  // Characters of word i are [begins[i], begins[i + 1] - 1), and one more separates it from the next; the edges that begin at character c are
  // [firsts[c], firsts[c + 1]). `weights`: how often the words occur.
  Lattices(std::vector<uint32_t> begins, std::vector<double> weights, std::vector<uint64_t> firsts, std::vector<Edge> edges)
      : begins_(std::move(begins)), weights_(std::move(weights)), firsts_(std::move(firsts)), edges_(std::move(edges)) {}

  // Renames the pieces; edges of pieces that get ~0 are gone.
  void rename(const std::vector<uint32_t>& names);
  // How often each piece is expected in the words, given the scores (log probabilities).
  std::vector<double> expected(const std::vector<double>& scores, double unk_score) const;
  // How often each piece is in the best ways to cut the words.
  std::vector<double> best_counts(const std::vector<double>& scores, double unk_score) const;
  // The pieces of the second best way from character `begin` over `length` characters, when the best way is one edge
  // over all of them; false when it is not.
  bool instead(uint32_t begin, uint32_t length, const std::vector<double>& scores, double unk_score, std::vector<uint32_t>& path) const;
  double total_weight() const;

 private:
  struct Scratch {
    std::vector<double> forward, backward;
  };
  void expect(size_t word, const std::vector<double>& scores, const std::vector<double>& chances, double unk_score,
              std::vector<double>& out, Scratch& scratch) const;
  void expect_log(size_t word, const std::vector<double>& scores, double unk_score, std::vector<double>& out, Scratch& scratch) const;
  // The best way from character `begin` over `length` characters, with or without an edge over all of them. `tie`: whether
  // another way may be as good.
  double best(uint32_t begin, uint32_t length, bool whole, const std::vector<double>& scores, double unk_score,
              std::vector<uint32_t>& path, bool* tie = nullptr) const;
  // Adds up what a function makes of every word, the words being cut in the same parts whatever the threads.
  std::vector<double> sum(size_t pieces, const std::function<void(size_t, size_t, std::vector<double>&)>& part) const;
  template <class Fn>
  void each(uint32_t at, Fn fn) const {
    bool single = false;
    for (uint64_t i = firsts_[at]; i < firsts_[at + 1]; ++i) {
      single |= edges_[i].length == 1;
      fn(edges_[i].piece, edges_[i].length);
    }
    if (!single) fn(kUnk, 1);
  }

  std::vector<uint32_t> begins_;
  std::vector<double> weights_;
  std::vector<uint64_t> firsts_;
  std::vector<Edge> edges_;
};

}  // namespace enfold
