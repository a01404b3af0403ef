#include "tokenizer/train/lattices.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "tokenizer/threads.hpp"

namespace enfold {
namespace {

constexpr size_t kParts = 8;        // of the words, for threads; fixed, so that sums do not depend on the threads
constexpr size_t kFewWords = 2000;  // that are one part
// Up to so many characters chances are multiplied as they are; logarithms are for longer words, and for chances that
// would vanish.
constexpr uint32_t kShort = 64;
constexpr double kLeast = 1e-250;
constexpr double kClose = 1e-9;  // scores that rounding may have told apart
constexpr double kNever = -std::numeric_limits<double>::infinity();

// A way from some place to the end, and how good it can become at best.
struct Hypothesis {
  uint32_t node, next;  // next: the way that it goes on with
  double whole, rest;   // the score with the best beginning, and the score of the part after the node's own begin
};

// A binary heap of which the best comes out first. Which of equals that is follows from the steps, and pruning depends
// on it: a new one rises past its equals, and a hole at the top falls to the bottom before the last one fills it.
class Agenda {
 public:
  bool empty() const { return items_.empty(); }
  size_t size() const { return items_.size(); }
  void clear() { items_.clear(); }
  void push(const Hypothesis& item) {
    items_.push_back(item);
    rise(items_.size() - 1);
  }
  Hypothesis pop() {
    Hypothesis last = items_.back();
    items_.pop_back();
    if (items_.empty()) return last;
    std::swap(last, items_[0]);
    size_t hole = 0, size = items_.size();
    Hypothesis filler = items_[0];
    for (size_t child = 1; child < size; child = 2 * hole + 1) {
      if (child + 1 < size && items_[child].whole < items_[child + 1].whole) ++child;
      items_[hole] = items_[child];
      hole = child;
    }
    items_[hole] = filler;
    rise(hole);
    return last;
  }

 private:
  void rise(size_t at) {
    Hypothesis item = items_[at];
    for (; at > 0; at = (at - 1) / 2) {
      size_t parent = (at - 1) / 2;
      if (item.whole < items_[parent].whole) break;
      items_[at] = items_[parent];
    }
    items_[at] = item;
  }
  std::vector<Hypothesis> items_;
};
constexpr size_t kMostHypotheses = 100'000, kKeptHypotheses = 20;  // when they are too many, the best are kept

double log_sum(double a, double b) {
  double low = std::min(a, b), high = std::max(a, b);
  return low == kNever || high > low + 50 ? high : high + std::log(std::exp(low - high) + 1);
}

}  // namespace

void Lattices::rename(const std::vector<uint32_t>& names) {
  uint64_t out = 0, in = 0;
  for (size_t at = 0; at + 1 < firsts_.size(); ++at) {
    uint64_t end = firsts_[at + 1];
    firsts_[at] = out;
    for (; in < end; ++in) {
      uint32_t name = names[edges_[in].piece];
      if (name != ~uint32_t(0)) edges_[out++] = {name, edges_[in].length};
    }
  }
  firsts_.back() = out;
  edges_.resize(out);
  if (edges_.capacity() > 2 * edges_.size()) edges_.shrink_to_fit();
}

double Lattices::total_weight() const {
  double sum = 0;
  for (double weight : weights_) sum += weight;
  return sum;
}

std::vector<double> Lattices::sum(size_t pieces, const std::function<void(size_t, size_t, std::vector<double>&)>& part) const {
  size_t words = weights_.size(), parts = words < kFewWords ? 1 : kParts;
  std::vector<std::vector<double>> sums(parts);
  parallel(parts, thread_count(), [&](size_t i) {
    sums[i].resize(pieces);
    part(words * i / parts, words * (i + 1) / parts, sums[i]);
  });
  for (size_t i = 1; i < parts; ++i)
    for (size_t piece = 0; piece < pieces; ++piece) sums[0][piece] += sums[i][piece];
  return std::move(sums[0]);
}

std::vector<double> Lattices::expected(const std::vector<double>& scores, double unk_score) const {
  std::vector<double> chances(scores.size());
  for (size_t i = 1; i < scores.size(); ++i) chances[i] = std::exp(scores[i]);
  chances[kUnk] = std::exp(unk_score);
  return sum(scores.size(), [&](size_t begin, size_t end, std::vector<double>& out) {
    Scratch scratch;
    for (size_t word = begin; word < end; ++word) expect(word, scores, chances, unk_score, out, scratch);
  });
}

// The forward-backward algorithm.
void Lattices::expect(size_t word, const std::vector<double>& scores, const std::vector<double>& chances, double unk_score,
                      std::vector<double>& out, Scratch& scratch) const {
  uint32_t begin = begins_[word], size = begins_[word + 1] - begin - 1;
  if (size > kShort) return expect_log(word, scores, unk_score, out, scratch);
  double forward[kShort + 1] = {1}, backward[kShort + 1];
  for (uint32_t at = 0; at < size; ++at)
    each(begin + at, [&](uint32_t piece, uint32_t length) { forward[at + length] += forward[at] * chances[piece]; });
  double all = forward[size];
  if (!(all > kLeast)) return expect_log(word, scores, unk_score, out, scratch);
  backward[size] = 1;
  double share = weights_[word] / all;
  for (uint32_t at = size; at-- > 0;) {
    double rest = 0, before = forward[at] * share;
    each(begin + at, [&](uint32_t piece, uint32_t length) {
      double on = chances[piece] * backward[at + length];
      rest += on;
      out[piece] += before * on;
    });
    backward[at] = rest;
  }
}

void Lattices::expect_log(size_t word, const std::vector<double>& scores, double unk_score, std::vector<double>& out, Scratch& scratch) const {
  uint32_t begin = begins_[word], size = begins_[word + 1] - begin - 1;
  auto score = [&](uint32_t piece) { return piece == kUnk ? unk_score : scores[piece]; };
  scratch.forward.assign(size + 1, kNever);
  scratch.backward.assign(size + 1, kNever);
  scratch.forward[0] = scratch.backward[size] = 0;
  for (uint32_t at = 0; at < size; ++at)
    each(begin + at, [&](uint32_t piece, uint32_t length) {
      double& to = scratch.forward[at + length];
      to = log_sum(to, scratch.forward[at] + score(piece));
    });
  double all = scratch.forward[size];
  for (uint32_t at = size; at-- > 0;)
    each(begin + at, [&](uint32_t piece, uint32_t length) {
      double on = score(piece) + scratch.backward[at + length];
      scratch.backward[at] = log_sum(scratch.backward[at], on);
      out[piece] += weights_[word] * std::exp(scratch.forward[at] + on - all);
    });
}

double Lattices::best(uint32_t begin, uint32_t length, bool whole, const std::vector<double>& scores, double unk_score,
                      std::vector<uint32_t>& path, bool* tie) const {
  struct Step {
    double score = kNever;
    uint32_t piece = 0, from = 0;
  };
  thread_local std::vector<Step> steps;
  steps.assign(length + 1, Step());
  steps[0].score = 0;
  for (uint32_t at = 0; at < length; ++at)
    each(begin + at, [&](uint32_t piece, uint32_t width) {
      if (at + width > length || (!whole && width == length)) return;
      double score = steps[at].score + (piece == kUnk ? unk_score : scores[piece]);
      Step& to = steps[at + width];
      if (tie && std::fabs(score - to.score) < kClose) *tie = true;
      if (score > to.score) to = {score, piece, at};
    });
  path.clear();
  for (uint32_t at = length; at > 0; at = steps[at].from) path.push_back(steps[at].piece);
  std::reverse(path.begin(), path.end());
  return steps[length].score;
}

bool Lattices::instead(uint32_t begin, uint32_t length, const std::vector<double>& scores, double unk_score, std::vector<uint32_t>& path) const {
  // Without ties the best way that is not the edge itself says it all.
  bool tie = false;
  double whole = kNever;
  each(begin, [&](uint32_t piece, uint32_t width) {
    if (width == length) whole = piece == kUnk ? unk_score : scores[piece];
  });
  double other = best(begin, length, false, scores, unk_score, path, &tie);
  if (!tie && std::fabs(whole - other) >= kClose) return whole > other;

  // The search backwards from the end, best first, with the scores of the best beginnings as its guide.
  struct Node {
    uint32_t piece, begin, end;
    double score, best;  // best: of all ways from the beginning to its end
  };
  constexpr uint32_t kNone = ~uint32_t(0), kBegin = 0, kEnd = 1;
  thread_local std::vector<Node> nodes;
  thread_local std::vector<std::vector<uint32_t>> ending;
  thread_local std::vector<Hypothesis> ways;
  thread_local Agenda agenda;
  nodes.assign({{0, 0, 0, 0, 0}, {0, length, length, 0, 0}});
  if (ending.size() <= length) ending.resize(length + 1);
  for (uint32_t at = 0; at <= length; ++at) ending[at].clear();
  ending[0].push_back(kBegin);
  for (uint32_t at = 0; at < length; ++at)
    each(begin + at, [&](uint32_t piece, uint32_t width) {
      if (at + width > length) return;
      ending[at + width].push_back(uint32_t(nodes.size()));
      nodes.push_back({piece, at, at + width, piece == kUnk ? unk_score : scores[piece], 0});
    });
  for (uint32_t i = 2; i < nodes.size(); ++i) {
    double most = kNever;
    for (uint32_t before : ending[nodes[i].begin]) most = std::max(most, nodes[before].best + nodes[i].score);
    nodes[i].best = most;
  }
  ways.clear();
  agenda.clear();
  agenda.push({kEnd, kNone, 0, 0});
  size_t found = 0;
  while (!agenda.empty()) {
    Hypothesis top = agenda.pop();
    ways.push_back(top);
    uint32_t index = uint32_t(ways.size() - 1);
    if (top.node == kBegin) {
      path.clear();
      for (uint32_t way = top.next; ways[way].next != kNone; way = ways[way].next) path.push_back(nodes[ways[way].node].piece);
      if (++found == 2) return true;
      if (path.size() > 1) return false;
      continue;
    }
    for (uint32_t before : ending[nodes[top.node].begin])
      agenda.push({before, index, nodes[before].best + top.rest, nodes[before].score + top.rest});
    if (agenda.size() > kMostHypotheses) {
      Agenda kept;
      for (size_t i = 0; i < kKeptHypotheses; ++i) kept.push(agenda.pop());
      agenda = std::move(kept);
    }
  }
  return false;
}

std::vector<double> Lattices::best_counts(const std::vector<double>& scores, double unk_score) const {
  return sum(scores.size(), [&](size_t begin, size_t end, std::vector<double>& out) {
    std::vector<uint32_t> path;
    for (size_t word = begin; word < end; ++word) {
      best(begins_[word], begins_[word + 1] - begins_[word] - 1, true, scores, unk_score, path);
      for (uint32_t piece : path) out[piece] += weights_[word];
    }
  });
}

}  // namespace enfold
