#include "tokenizer/train/unigram.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <unordered_map>
#include <unordered_set>

#include "text/utf8.hpp"
#include "tokenizer/threads.hpp"
#include "tokenizer/train/lattices.hpp"
#include "tokenizer/train/suffix_array.hpp"

namespace enfold {
namespace {

constexpr double kUnkPenalty = 10;      // how much less an unknown character scores than the least piece
constexpr double kLeastExpected = 0.5;  // pieces that are expected less often are dropped
constexpr double kMissingStep = 1e-4;   // between the scores of characters that lost their piece

// The derivative of log gamma, by its asymptotic series around x + 1/2 (Abramowitz and Stegun 6.3.18 and 6.3.21).
double digamma(double x) {
  double below = 0;
  for (; x < 7; ++x) below -= 1 / x;
  x -= 0.5;
  double inverse = 1 / x, square = inverse * inverse, fourth = square * square;
  below += std::log(x) + (1.0 / 24) * square - 7.0 / 960 * fourth + (31.0 / 8064) * fourth * square - (127.0 / 30720) * fourth * fourth;
  return below;
}

// A part of the corpus: `length` characters from `begin` on.
struct Seed {
  uint32_t begin, length;
};

class Trainer {
 public:
  Trainer(const std::vector<WordCount>& words, const UnigramOptions& options, const Watch& watch)
      : words_(words), options_(options), watch_(watch) {}

  UnigramResult run() {
    write_text();
    if (alphabet_.size() > options_.vocab_size)
      throw std::invalid_argument("The vocabulary is not large enough to contain all chars: there are " + std::to_string(alphabet_.size()) +
                                  ", and vocab_size is " + std::to_string(options_.vocab_size) + "; raise it, or normalize the text");
    watch_("Suffix array seeds", 0, words_.size());
    Lattices lattices = seed();
    watch_("Suffix array seeds", words_.size(), words_.size());
    size_t desired = options_.vocab_size * 11 / 10, done = 0;
    double loops = (std::log(double(desired)) - std::log(double(pieces_.size()))) / std::log(options_.shrinking_factor);
    size_t total = (loops > 0 && loops < 1e6 ? size_t(loops) + 1 : 1) * options_.n_sub_iterations;
    for (;;) {
      size_t before = pieces_.size();
      for (size_t i = 0; i < options_.n_sub_iterations; ++i) {
        maximize(lattices, lattices.expected(scores_, unk_score()));
        ++done;
        watch_("EM training", done, std::max(done, total));
      }
      if (pieces_.size() <= desired) break;
      prune(lattices, desired);
      // Every piece that is left is needed: more rounds would change nothing.
      if (pieces_.size() >= before) break;
    }
    watch_("EM training", done, done);
    return finish();
  }

 private:
  // All words one after the other, a 0 behind each, as ranks of their characters.
  void write_text() {
    size_t characters = 0;
    for (const WordCount& word : words_) characters += utf8_length(word.word) + 1;
    if (characters >= size_t(INT32_MAX) - 1) throw std::overflow_error("the distinct words hold more than 2^31 characters: cut the texts, or set a pre_tokenizer");
    codes_.reserve(characters);
    begins_.reserve(words_.size() + 1);
    for (const WordCount& word : words_) {
      begins_.push_back(uint32_t(codes_.size()));
      for (size_t at = 0; at < word.word.size();) codes_.push_back(utf8_next(word.word, at));
      codes_.push_back(0);
    }
    begins_.push_back(uint32_t(codes_.size()));
    std::unordered_set<char32_t> seen(options_.initial_alphabet.begin(), options_.initial_alphabet.end());
    char32_t last = 0;
    for (size_t word = 0; word + 1 < begins_.size(); ++word)
      for (uint32_t at = begins_[word]; at + 1 < begins_[word + 1]; ++at)
        if (codes_[at] != last || at == begins_[word]) seen.insert(last = codes_[at]);
    alphabet_.assign(seen.begin(), seen.end());
    std::sort(alphabet_.begin(), alphabet_.end());
  }

  std::string text(const Seed& seed) const {
    std::string made;
    for (uint32_t i = 0; i < seed.length; ++i) utf8_append(codes_[seed.begin + i], made);
    return made;
  }

  // The first pieces: every character, and the parts of words that occur more than once and go on in different ways;
  // the more often and the longer the better. Their occurrences are the edges of the lattices.
  Lattices seed() {
    std::vector<uint32_t> ranks(codes_.size());
    std::unordered_map<char32_t, uint32_t> rank_of;
    {
      std::vector<char32_t> sorted(alphabet_);
      if (sorted.empty() || sorted[0] != 0) sorted.insert(sorted.begin(), 0);
      for (uint32_t i = 0; i < sorted.size(); ++i) rank_of[sorted[i]] = i;
      for (size_t i = 0; i < codes_.size(); ++i) ranks[i] = rank_of[codes_[i]];
    }
    uint32_t alphabet = uint32_t(rank_of.size());
    std::vector<int32_t> suffixes = suffix_array(ranks, alphabet), common = common_prefixes(ranks, suffixes);
    // How far it is to the next 0.
    std::vector<uint32_t> room(codes_.size() + 1);
    for (size_t i = codes_.size(); i-- > 0;) room[i] = codes_[i] == 0 ? 0 : room[i + 1] + 1;

    struct Found {
      uint32_t score, first, count, length;  // the suffixes first, first + 1, … begin with it
    };
    std::vector<Found> found;
    struct Open {
      uint32_t first, length;
    };
    std::vector<Open> open{{0, 0}};
    for (uint32_t i = 1; i <= suffixes.size(); ++i) {
      uint32_t length = i < suffixes.size() ? uint32_t(common[i]) : 0, first = i - 1;
      while (open.back().length > length) {
        Open node = open.back();
        open.pop_back();
        first = node.first;
        if (node.length >= 2 && node.length <= options_.max_piece_length && node.length <= room[suffixes[first]])
          found.push_back({(i - first) * node.length, first, i - first, node.length});
      }
      if (open.back().length < length) open.push_back({first, length});
    }
    std::vector<int32_t>().swap(common);

    std::vector<double> counts(alphabet);
    std::vector<uint32_t> example(alphabet);
    for (size_t word = 0; word + 1 < begins_.size(); ++word)
      for (uint32_t at = begins_[word]; at + 1 < begins_[word + 1]; ++at) {
        counts[ranks[at]] += double(words_[word].count);
        example[ranks[at]] = at;
      }
    std::vector<uint32_t> characters;
    for (uint32_t rank = 1; rank < alphabet; ++rank)
      if (counts[rank] > 0) characters.push_back(rank);
    std::sort(characters.begin(), characters.end(), [&](uint32_t a, uint32_t b) { return counts[a] != counts[b] ? counts[a] > counts[b] : a > b; });
    // By falling score, and the last in the order of texts first: of two, that is the one that is first among the
    // suffixes, or shorter.
    std::sort(found.begin(), found.end(), [](const Found& a, const Found& b) {
      return a.score != b.score ? a.score > b.score : a.first != b.first ? a.first > b.first : a.length > b.length;
    });
    size_t limit = options_.seed_size > characters.size() ? options_.seed_size - characters.size() : 1;
    if (found.size() > limit) found.resize(limit);

    std::vector<uint32_t> piece_of(alphabet, ~uint32_t(0));
    pieces_.push_back({0, 0});
    scores_.push_back(0);
    for (uint32_t rank : characters) {
      piece_of[rank] = uint32_t(pieces_.size());
      pieces_.push_back({example[rank], 1});
      scores_.push_back(counts[rank]);
    }
    uint32_t longer = uint32_t(pieces_.size());
    for (const Found& part : found) {
      pieces_.push_back({uint32_t(suffixes[part.first]), part.length});
      scores_.push_back(part.score);
    }
    double sum = 0;
    for (size_t i = 1; i < scores_.size(); ++i) sum += scores_[i];
    for (size_t i = 1; i < scores_.size(); ++i) scores_[i] = std::log(scores_[i]) - std::log(sum);

    // Every character's edges lie together: first how many, then which.
    std::vector<uint64_t> firsts(codes_.size() + 2);
    for (size_t at = 0; at < codes_.size(); ++at) firsts[at + 2] += piece_of[ranks[at]] != ~uint32_t(0);
    for (const Found& part : found)
      for (uint32_t i = 0; i < part.count; ++i) ++firsts[size_t(suffixes[part.first + i]) + 2];
    for (size_t at = 2; at < firsts.size(); ++at) firsts[at] += firsts[at - 1];
    std::vector<Lattices::Edge> edges(firsts.back());
    for (size_t at = 0; at < codes_.size(); ++at)
      if (piece_of[ranks[at]] != ~uint32_t(0)) edges[firsts[at + 1]++] = {piece_of[ranks[at]], 1};
    for (size_t piece = 0; piece < found.size(); ++piece)
      for (uint32_t i = 0; i < found[piece].count; ++i)
        edges[firsts[size_t(suffixes[found[piece].first + i]) + 1]++] = {longer + uint32_t(piece), found[piece].length};
    firsts.pop_back();

    std::vector<double> weights(words_.size());
    for (size_t i = 0; i < words_.size(); ++i) weights[i] = double(words_[i].count);
    return Lattices(begins_, std::move(weights), std::move(firsts), std::move(edges));
  }

  double least() const {
    double least = std::numeric_limits<double>::infinity();
    for (size_t i = 1; i < scores_.size(); ++i) least = std::min(least, scores_[i]);
    return least;
  }
  double unk_score() const { return least() - kUnkPenalty; }

  // Keeps the pieces whose name is not ~0, under the names 0, 1, ….
  void keep(Lattices& lattices, const std::vector<uint32_t>& names, std::vector<Seed>&& pieces, std::vector<double>&& scores) {
    pieces_ = std::move(pieces);
    scores_ = std::move(scores);
    lattices.rename(names);
  }

  // New scores from the expected counts. Not the plain maximum but the mean under a sparse prior: Liang and Klein (2007),
  // "Structured Bayesian Nonparametric Models with Variational Inference".
  void maximize(Lattices& lattices, const std::vector<double>& expected) {
    std::vector<Seed> pieces{pieces_[0]};
    std::vector<double> scores{0};
    std::vector<uint32_t> names(pieces_.size(), ~uint32_t(0));
    names[0] = 0;
    double sum = 0;
    for (size_t i = 1; i < pieces_.size(); ++i) {
      if (expected[i] < kLeastExpected) continue;
      names[i] = uint32_t(pieces.size());
      pieces.push_back(pieces_[i]);
      scores.push_back(expected[i]);
      sum += expected[i];
    }
    double all = digamma(sum);
    for (size_t i = 1; i < scores.size(); ++i) scores[i] = digamma(scores[i]) - all;
    bool same = pieces.size() == pieces_.size();
    if (same) scores_ = std::move(scores);
    else keep(lattices, names, std::move(pieces), std::move(scores));
  }

  // Drops the pieces whose loss hurts the likelihood of the words least.
  void prune(Lattices& lattices, size_t desired) {
    size_t count = pieces_.size();
    double unk = unk_score();
    std::vector<double> counts = lattices.best_counts(scores_, unk);
    double sum = 0, all = lattices.total_weight();
    for (double seen : counts) sum += seen;
    double log_sum = std::log(sum);
    enum : char { Drop, Keep, Weigh };
    std::vector<char> fate(count, Keep);
    std::vector<double> losses(count);
    constexpr size_t kStep = 4096;
    parallel((count + kStep - 1) / kStep, thread_count(), [&](size_t step) {
      std::vector<uint32_t> instead;
      for (size_t i = std::max<size_t>(1, step * kStep); i < std::min(count, (step + 1) * kStep); ++i) {
        if (pieces_[i].length == 1) continue;  // there is nothing to put in its place
        // A piece that is in no best way goes; one that is not even the best way to write itself is left to the others.
        bool best = lattices.instead(pieces_[i].begin, pieces_[i].length, scores_, unk, instead);
        if (counts[i] == 0) fate[i] = Drop;
        if (counts[i] == 0 || !best) continue;
        // What its occurrences would say when others stand in for it. The sum of all counts should grow by those of the
        // pieces that stand in; the ecosystem's trainer takes the number of all pieces for theirs, and its vocabularies
        // follow from that.
        double log_other = std::log(sum + counts[i] * double(count - 1)), then = 0;
        for (uint32_t piece : instead) then += std::log(counts[piece] + counts[i]) - log_other;
        losses[i] = counts[i] / all * (std::log(counts[i]) - log_sum - then);
        fate[i] = Weigh;
      }
    });
    std::vector<uint32_t> candidates, names(count, ~uint32_t(0));
    std::vector<Seed> pieces;
    std::vector<double> scores;
    auto take = [&](uint32_t i) {
      names[i] = uint32_t(pieces.size());
      pieces.push_back(pieces_[i]);
      scores.push_back(scores_[i]);
    };
    for (uint32_t i = 0; i < count; ++i) {
      if (fate[i] == Keep) take(i);
      else if (fate[i] == Weigh) candidates.push_back(i);
    }
    size_t target = std::max(desired, size_t(std::max(0.0, double(count) * options_.shrinking_factor)));
    std::stable_sort(candidates.begin(), candidates.end(), [&](uint32_t a, uint32_t b) { return losses[a] > losses[b]; });
    for (uint32_t i : candidates) {
      if (pieces.size() == target) break;
      take(i);
    }
    keep(lattices, names, std::move(pieces), std::move(scores));
  }

  // Every character that occurs has a piece in the end; the best of the others fill the vocabulary up.
  UnigramResult finish() {
    UnigramResult made;
    bool add_unk = false;
    if (options_.unk_token) {
      auto found = std::find(options_.special_tokens.begin(), options_.special_tokens.end(), *options_.unk_token);
      add_unk = found == options_.special_tokens.end();
      made.unk_id = add_unk ? 0 : size_t(found - options_.special_tokens.begin());
    }
    std::unordered_map<char32_t, double> characters;
    for (size_t i = 1; i < pieces_.size(); ++i)
      if (pieces_[i].length == 1) characters[codes_[pieces_[i].begin]] = scores_[i];
    std::vector<std::pair<std::string, double>> pieces;
    double lowest = least(), penalty = 0;
    for (char32_t code : alphabet_) {
      std::string text;
      utf8_append(code, text);
      auto known = characters.find(code);
      if (known != characters.end()) {
        pieces.emplace_back(std::move(text), known->second);
      } else {
        pieces.emplace_back(std::move(text), std::isfinite(lowest) ? lowest + penalty : 0.0);
        penalty += kMissingStep;
      }
    }
    // As everywhere: characters that fill the vocabulary already set no limit to the others.
    size_t room = options_.vocab_size - options_.special_tokens.size() - add_unk;
    for (size_t i = 1; i < pieces_.size(); ++i) {
      if (pieces_[i].length == 1) continue;
      pieces.emplace_back(text(pieces_[i]), scores_[i]);
      if (pieces.size() == room) break;
    }
    std::stable_sort(pieces.begin(), pieces.end(), [](const auto& a, const auto& b) { return a.second > b.second; });
    if (add_unk) made.pieces.emplace_back(*options_.unk_token, 0.0);
    for (const std::string& token : options_.special_tokens) made.pieces.emplace_back(token, 0.0);
    made.pieces.insert(made.pieces.end(), std::make_move_iterator(pieces.begin()), std::make_move_iterator(pieces.end()));
    return made;
  }

  const std::vector<WordCount>& words_;
  const UnigramOptions& options_;
  const Watch& watch_;
  std::vector<char32_t> codes_, alphabet_;
  std::vector<uint32_t> begins_;  // of the words
  std::vector<Seed> pieces_;      // the first is the unknown one
  std::vector<double> scores_;
};

}  // namespace

UnigramResult train_unigram(const std::vector<WordCount>& words, const UnigramOptions& options, const Watch& watch) {
  return Trainer(words, options, watch).run();
}

}  // namespace enfold
