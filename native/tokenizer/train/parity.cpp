#include "tokenizer/train/parity.hpp"

#include <algorithm>
#include <cmath>
#include <deque>
#include <limits>
#include <queue>
#include <stdexcept>
#include <string>
#include <unordered_map>

#include "tokenizer/train/pairs.hpp"
#include "tokenizer/train/symbols.hpp"

namespace enfold {
namespace {

constexpr size_t kWatchEvery = 64;
constexpr double kLeast = -std::numeric_limits<double>::infinity();

struct Pair {
  uint32_t left, right;
  uint64_t key() const { return PairCounts::key(left, right); }
};

// The words of one language as tokens, with the counts of their pairs.
class Corpus {
 public:
  // Characters outside the alphabet are left out; with `whole`, the words that hold one.
  Corpus(Symbols& symbols, const std::vector<WordCount>& words, bool whole) : words_(words.size()), counts_(words.size()) {
    std::vector<bool> dropped(words.size());
    auto put = [&](size_t index, uint32_t id) {
      if (id != Symbols::kNone) words_[index].push_back(id);
      else if (whole) dropped[index] = true;
    };
    symbols.write(words, put, !whole);
    for (size_t index = 0; index < words.size(); ++index) {
      if (dropped[index]) words_[index].clear();
      counts_[index] = int64_t(words[index].count);
      length += counts_[index] * int64_t(words_[index].size());
      for (size_t i = 0; i + 1 < words_[index].size(); ++i) add({words_[index][i], words_[index][i + 1]}, uint32_t(index));
    }
  }

  int64_t count(uint64_t key) { return pairs_.at(key).count; }
  template <class Fn>
  void each(Fn fn) {
    pairs_.each([&](PairCounts::Entry& entry) { fn(entry.key); });
  }

  // Joins a pair in all words, and tells changed(key) which counts are others now. Pairs of tokens that are as long as
  // `limit` together are not counted.
  template <class Fn>
  void merge(Pair pair, uint32_t made, const std::vector<uint32_t>& lengths, size_t limit, Fn changed) {
    auto found = where_.find(pair.key());
    if (found == where_.end()) return;
    std::vector<uint32_t> places = std::move(found->second);
    where_.erase(found);
    std::sort(places.begin(), places.end());
    places.erase(std::unique(places.begin(), places.end()), places.end());
    for (uint32_t index : places) {
      std::vector<uint32_t>& word = words_[index];
      auto change = [&](Pair was, Pair now, uint32_t neighbour) {
        pairs_.at(was.key()).count -= counts_[index];
        changed(was.key());
        if (size_t(lengths[neighbour]) + lengths[made] >= limit) return;
        add(now, index);
        changed(now.key());
      };
      size_t to = 0, before = word.size();
      for (size_t from = 0; from < before; ++to) {
        if (from + 1 == before || word[from] != pair.left || word[from + 1] != pair.right) {
          word[to] = word[from++];
          continue;
        }
        if (to > 0) change({word[to - 1], pair.left}, {word[to - 1], made}, word[to - 1]);
        from += 2;
        if (from < before) change({pair.right, word[from]}, {made, word[from]}, word[from]);
        word[to] = made;
      }
      word.resize(to);
      length -= int64_t(before - to) * counts_[index];
    }
    pairs_.at(pair.key()).count = 0;
  }

  int64_t length = 0;  // tokens of all words

 private:
  void add(Pair pair, uint32_t index) {
    pairs_.at(pair.key()).count += counts_[index];
    where_[pair.key()].push_back(index);
  }

  std::vector<std::vector<uint32_t>> words_;
  std::vector<int64_t> counts_;  // by word
  PairCounts pairs_;
  std::unordered_map<uint64_t, std::vector<uint32_t>> where_;  // pair → words
};

// Pairs, the most frequent first, and of equals the one whose texts come last. Counts are looked at again when a pair's
// turn comes.
class Waiting {
 public:
  explicit Waiting(const Vocab& vocab) : queue_(Later{&vocab}) {}
  void push(uint64_t key, int64_t count) {
    if (count > 0) queue_.push({key, count});
  }
  template <class Count>
  bool pop(Pair& pair, int64_t& count, Count now) {
    while (!queue_.empty()) {
      auto [key, was] = queue_.top();
      queue_.pop();
      count = now(key);
      if (count != was) {
        push(key, count);
        continue;
      }
      pair = {uint32_t(key >> 32), uint32_t(key)};
      return true;
    }
    return false;
  }

 private:
  struct Item {
    uint64_t key;
    int64_t count;
  };
  struct Later {
    const Vocab* vocab;
    bool operator()(const Item& a, const Item& b) const {
      if (a.count != b.count) return a.count < b.count;
      int order = vocab->token(a.key >> 32).compare(vocab->token(b.key >> 32));
      return order ? order < 0 : vocab->token(uint32_t(a.key)) < vocab->token(uint32_t(b.key));
    }
  };
  std::priority_queue<Item, std::vector<Item>, Later> queue_;
};

// Says which language's turn it is.
class Turns {
 public:
  Turns(const ParityOptions& options, size_t languages) : options_(options), done_(languages) {}

  // The language with the highest value, of those that have pairs left; with a window, of those that had not more than
  // their share of the last turns. There must be one.
  size_t next(const std::vector<double>& values) {
    if (!options_.window) return best(values, done_);
    double share = options_.alpha / double(values.size());
    for (;;) {
      std::vector<bool> out = done_;
      size_t chosen = 0;
      while (std::find(out.begin(), out.end(), false) != out.end()) {
        chosen = best(values, out);
        size_t had = size_t(std::count(last_.begin(), last_.end(), chosen));
        if (double(had) / double(options_.window_size) <= share) return take(chosen);
        out[chosen] = true;
      }
      if (std::find(done_.begin(), done_.end(), true) == done_.end()) return take(chosen);
      take(values.size());  // the turn of a language that has nothing left: the window moves on
    }
  }
  void finish(size_t language) { done_[language] = true; }
  bool over() const { return std::find(done_.begin(), done_.end(), false) == done_.end(); }

 private:
  static size_t best(const std::vector<double>& values, const std::vector<bool>& out) {
    size_t found = values.size();
    for (size_t i = 0; i < values.size(); ++i)
      if (!out[i] && (found == values.size() || values[i] > values[found])) found = i;
    return found;
  }
  size_t take(size_t language) {
    last_.push_back(language);
    if (last_.size() > options_.window_size) last_.pop_front();
    return language;
  }

  const ParityOptions& options_;
  std::vector<bool> done_;
  std::deque<size_t> last_;
};

void check(const ParityOptions& options, size_t languages) {
  if (languages == 0) throw std::invalid_argument("there is no language to train on");
  if (!options.ratio.empty() && options.ratio.size() != languages)
    throw std::invalid_argument("ratio length (" + std::to_string(options.ratio.size()) + ") does not match number of languages (" +
                                std::to_string(languages) + ")");
  for (size_t i = 0; i < options.ratio.size(); ++i)
    if (!(std::isfinite(options.ratio[i]) && options.ratio[i] > 0))
      throw std::invalid_argument("ratio[" + std::to_string(i) + "] must be a positive finite number, and is " + std::to_string(options.ratio[i]));
  if (!options.window) return;
  if (options.window_size == 0) throw std::invalid_argument("window_size must be > 0 when variant is \"window\"");
  if (!(std::isfinite(options.alpha) && options.alpha > 0))
    throw std::invalid_argument("alpha must be a positive finite number when variant is \"window\", and is " + std::to_string(options.alpha));
}

}  // namespace

BpeResult train_parity(const std::vector<const std::vector<WordCount>*>& languages, const std::vector<const std::vector<WordCount>*>& dev,
                       const ParityOptions& options, const Watch& watch) {
  check(options, languages.size());
  Symbols symbols(options.bpe);
  std::vector<const std::vector<WordCount>*> all = languages;
  all.insert(all.end(), dev.begin(), dev.end());
  symbols.add_alphabet(all);
  std::vector<Corpus> corpora, measured;
  for (const auto* words : languages) corpora.emplace_back(symbols, *words, false);
  for (const auto* words : dev) measured.emplace_back(symbols, *words, true);

  std::vector<double> begin;
  for (const Corpus& corpus : corpora) begin.push_back(double(corpus.length));
  auto values = [&] {
    std::vector<double> made;
    for (size_t i = 0; i < corpora.size(); ++i) {
      bool rated = dev.empty() && !options.ratio.empty();
      double value = rated ? -(begin[i] / double(corpora[i].length)) / options.ratio[i] : double((dev.empty() ? corpora : measured)[i].length);
      made.push_back(std::isnan(value) ? kLeast : value);
    }
    return made;
  };
  auto total = [&](uint64_t key) {
    int64_t sum = 0;
    for (Corpus& corpus : corpora) sum += std::max<int64_t>(corpus.count(key), 0);
    return sum;
  };

  std::vector<Waiting> waiting(corpora.size(), Waiting(symbols.vocab));
  Waiting together(symbols.vocab);
  for (size_t i = 0; i < corpora.size(); ++i) corpora[i].each([&](uint64_t key) { waiting[i].push(key, corpora[i].count(key)); });
  if (options.global_merges) {
    std::vector<uint64_t> keys;
    for (Corpus& corpus : corpora) corpus.each([&](uint64_t key) { keys.push_back(key); });
    std::sort(keys.begin(), keys.end());
    keys.erase(std::unique(keys.begin(), keys.end()), keys.end());
    for (uint64_t key : keys) together.push(key, total(key));
  }

  size_t wanted = options.num_merges;
  if (options.total_symbols) wanted -= std::min(wanted, symbols.vocab.size());
  size_t limit = options.bpe.max_token_length.value_or(SIZE_MAX);
  Turns turns(options, corpora.size());
  std::vector<std::pair<uint32_t, uint32_t>> merges;
  while (merges.size() < wanted && !turns.over()) {
    bool global = merges.size() < options.global_merges;
    Pair pair;
    int64_t count;
    size_t turn = global ? 0 : turns.next(values());
    bool found = global ? together.pop(pair, count, total)
                        : waiting[turn].pop(pair, count, [&](uint64_t key) { return corpora[turn].count(key); });
    if (!found || uint64_t(count) < options.bpe.min_frequency) {
      if (global) break;
      turns.finish(turn);
      continue;
    }
    uint32_t made = symbols.join(pair.left, pair.right);
    merges.emplace_back(pair.left, pair.right);
    std::vector<uint64_t> changed;
    for (size_t i = 0; i < corpora.size(); ++i) {
      size_t before = changed.size();
      corpora[i].merge(pair, made, symbols.lengths, limit, [&](uint64_t key) { changed.push_back(key); });
      for (size_t at = before; at < changed.size(); ++at) waiting[i].push(changed[at], corpora[i].count(changed[at]));
    }
    if (merges.size() < options.global_merges)
      for (uint64_t key : changed) together.push(key, total(key));
    for (Corpus& corpus : measured) corpus.merge(pair, made, symbols.lengths, SIZE_MAX, [](uint64_t) {});
    if (merges.size() % kWatchEvery == 0) watch("Compute merges", merges.size(), wanted);
  }
  watch("Compute merges", merges.size(), merges.size());
  return {std::move(symbols.vocab), last_of_each(merges)};
}

}  // namespace enfold
