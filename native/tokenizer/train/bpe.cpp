#include "tokenizer/train/bpe.hpp"

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "tokenizer/train/pairs.hpp"
#include "tokenizer/train/symbols.hpp"

namespace enfold {
namespace {

constexpr size_t kWatchEvery = 256;
constexpr uint32_t kEnd = ~uint32_t(0);       // between words
constexpr uint32_t kInside = ~uint32_t(0) - 1;  // a place that a token before it covers

// A place of the corpus. The first one of a token names it and its word; where a token covers more than one place, the
// second and the last say how many.
struct Cell {
  uint32_t token, value;
};

class Trainer {
 public:
  Trainer(const std::vector<WordCount>& words, const BpeOptions& options, const Watch& watch)
      : words_(words), options_(options), watch_(watch), symbols_(options), queue_(pairs_) {}

  BpeResult run() {
    symbols_.add_alphabet({&words_});
    add_words();
    count_pairs();
    merge_all();
    return {std::move(symbols_.vocab), last_of_each(merges_)};
  }

 private:
  // Writes every word as the tokens of its characters; those that are not in the alphabet are left out.
  void add_words() {
    size_t total = 0;
    for (const WordCount& word : words_) total += word.word.size() + 1;
    if (total >= kInside) throw std::overflow_error("the distinct words hold more than 4 GB: cut the texts, or set a pre_tokenizer");
    cells_.reserve(total + 1);
    cells_.push_back({kEnd, 0});
    starts_.resize(words_.size());
    size_t word = SIZE_MAX;
    symbols_.write(words_, [&](size_t index, uint32_t id) {
      if (index != word) {
        if (word != SIZE_MAX) cells_.push_back({kEnd, 0});
        starts_[index] = uint32_t(cells_.size());
        word = index;
      }
      if (id != Symbols::kNone) cells_.push_back({id, uint32_t(index)});
    });
    cells_.push_back({kEnd, 0});
  }

  void count_pairs() {
    auto each = [&](auto use) {
      for (uint32_t at = 1; at + 1 < cells_.size(); ++at)
        if (cells_[at].token != kEnd && cells_[at + 1].token != kEnd)
          use(pairs_.at(PairCounts::key(cells_[at].token, cells_[at + 1].token)), at);
    };
    each([&](PairCounts::Entry& entry, uint32_t at) {
      entry.count += int64_t(words_[cells_[at].value].count);
      ++entry.queued;
    });
    // `queued` counts the places, then says where the next one goes.
    uint32_t total = 0;
    std::vector<std::pair<uint64_t, uint32_t>> lists;
    pairs_.each([&](PairCounts::Entry& entry) {
      lists.emplace_back(entry.key, entry.queued);
      total += std::exchange(entry.queued, total);
    });
    uint32_t* places = room(total);
    each([&](PairCounts::Entry& entry, uint32_t at) { places[entry.queued++] = at; });
    uint32_t begin = 0;
    for (auto [key, count] : lists) {
      Candidate candidate{key, {}};
      candidate.places.count = count;
      if (count == 1) candidate.places.one = places[begin];
      else candidate.places.many = places + begin;
      PairCounts::Entry& entry = pairs_.at(key);
      entry.queued = 1;
      queue_.push(candidate, entry.count);
      begin += count;
    }
  }

  uint32_t* room(size_t count) {
    arena_.push_back(std::make_unique_for_overwrite<uint32_t[]>(count));
    return arena_.back().get();
  }

  uint32_t next(uint32_t at) const { return cells_[at + 1].token == kInside ? at + cells_[at + 1].value : at + 1; }
  uint32_t previous(uint32_t at) const { return cells_[at - 1].token == kInside ? at - cells_[at - 1].value : at - 1; }

  void merge_all() {
    size_t limit = options_.max_token_length.value_or(SIZE_MAX), start = symbols_.vocab.size();
    Candidate top;
    int64_t count;
    while (symbols_.vocab.size() < options_.vocab_size && queue_.pop(top, count)) {
      if (uint64_t(count) < options_.min_frequency) break;
      uint32_t left = uint32_t(top.key >> 32), right = uint32_t(top.key);
      uint32_t made = symbols_.join(left, right);
      merges_.emplace_back(left, right);
      merge(top, left, right, made, limit);
      if (merges_.size() % kWatchEvery == 0) watch_("Compute merges", symbols_.vocab.size() - start, options_.vocab_size - start);
    }
    watch_("Compute merges", symbols_.vocab.size() - start, symbols_.vocab.size() - start);
  }

  // What a merge changes on one of its sides, by the token that is the neighbour there.
  struct Side {
    std::vector<int64_t> weights;                       // by token
    std::vector<uint32_t> counts;                       // by token: how many places
    std::vector<uint32_t> touched;                      // the tokens
    std::vector<std::pair<uint32_t, uint32_t>> places;  // (token, place)
    void add(uint32_t token, uint32_t place, int64_t weight) {
      if (token >= counts.size()) {
        counts.resize(token * 2 + 256);
        weights.resize(token * 2 + 256);
      }
      if (!counts[token]++) touched.push_back(token);
      weights[token] += weight;
      places.emplace_back(token, place);
    }
    void clear() {
      for (uint32_t token : touched) counts[token] = 0, weights[token] = 0;
      touched.clear();
      places.clear();
    }
  };

  void merge(const Candidate& pair, uint32_t left, uint32_t right, uint32_t made, size_t limit) {
    // A pair that has waited more than once: an older token was made anew, by other merges. All its places in the words
    // of this list are merged now, those of the other lists too.
    if (pairs_.at(pair.key).queued > 1) {
      uint32_t last = kEnd;
      std::vector<uint32_t> words;
      for (uint32_t at : pair.places) words.push_back(cells_[at].token == kInside ? word_of(at) : cells_[at].value);
      std::sort(words.begin(), words.end());
      for (uint32_t word : words) {
        if (word == last) continue;
        last = word;
        for (uint32_t at = starts_[word]; cells_[at].token != kEnd; at = next(at)) join(at, left, right, made);
      }
    } else {
      const uint32_t* end = pair.places.end();
      for (const uint32_t* at = pair.places.begin(); at != end; ++at) {
        if (at + 8 < end) __builtin_prefetch(&cells_[at[8]]);
        join(*at, left, right, made);
      }
    }
    for (uint32_t token : before_.touched) pairs_.prefetch(PairCounts::key(token, left)), pairs_.prefetch(PairCounts::key(token, made));
    for (uint32_t token : after_.touched) pairs_.prefetch(PairCounts::key(right, token)), pairs_.prefetch(PairCounts::key(made, token));
    for (uint32_t token : before_.touched) pairs_.at(PairCounts::key(token, left)).count -= before_.weights[token];
    for (uint32_t token : after_.touched) pairs_.at(PairCounts::key(right, token)).count -= after_.weights[token];
    auto fits = [&](uint32_t token) { return limit == SIZE_MAX || size_t(symbols_.lengths[token]) + symbols_.lengths[made] < limit; };
    for (uint32_t token : before_.touched)
      if (fits(token)) pairs_.at(PairCounts::key(token, made)).count += before_.weights[token];
    for (uint32_t token : after_.touched)
      if (fits(token)) pairs_.at(PairCounts::key(made, token)).count += after_.weights[token];
    // made next to itself is on both sides: its places come together.
    bool twice = made < before_.counts.size() && made < after_.counts.size() && before_.counts[made] && after_.counts[made];
    if (twice && fits(made)) {
      std::vector<uint32_t> places;
      for (const Side* side : {&before_, &after_})
        for (auto [token, place] : side->places)
          if (token == made) places.push_back(place);
      std::sort(places.begin(), places.end());
      places.erase(std::unique(places.begin(), places.end()), places.end());
      uint32_t* kept = room(places.size());
      std::copy(places.begin(), places.end(), kept);
      enqueue(PairCounts::key(made, made), kept, uint32_t(places.size()));
    }
    enqueue(before_, fits, twice ? made : kEnd, [&](uint32_t token) { return PairCounts::key(token, made); });
    enqueue(after_, fits, twice ? made : kEnd, [&](uint32_t token) { return PairCounts::key(made, token); });
    before_.clear();
    after_.clear();
  }

  // Joins the pair at a place, if it is still there.
  void join(uint32_t at, uint32_t left, uint32_t right, uint32_t made) {
    if (cells_[at].token != left) return;
    uint32_t second = next(at);
    if (cells_[second].token != right) return;
    int64_t weight = int64_t(words_[cells_[at].value].count);
    uint32_t before = previous(at), after = next(second), width = after - at;
    cells_[at].token = made;
    cells_[at + 1] = cells_[after - 1] = {kInside, width};
    if (second > at + 1) cells_[second] = {kInside, width};
    if (cells_[before].token != kEnd) before_.add(cells_[before].token, before, weight);
    if (cells_[after].token != kEnd) after_.add(cells_[after].token, at, weight);
  }

  // The word of a place inside a token.
  uint32_t word_of(uint32_t at) const {
    return uint32_t(std::upper_bound(starts_.begin(), starts_.end(), at) - starts_.begin() - 1);
  }

  template <class Fits, class Key>
  void enqueue(Side& side, Fits fits, uint32_t but, Key key) {
    uint32_t total = 0;
    for (uint32_t token : side.touched) {
      bool wanted = token != but && fits(token) && pairs_.at(key(token)).count > 0;
      uint32_t count = side.counts[token];
      side.counts[token] = !wanted ? kEnd : count == 1 ? kEnd - 1 : total;
      if (wanted && count > 1) total += count;
    }
    uint32_t* places = total ? room(total) : nullptr;
    for (auto [token, place] : side.places) {
      uint32_t& where = side.counts[token];
      if (where == kEnd) continue;
      if (where == kEnd - 1) enqueue(key(token), &place, 1);
      else places[where++] = place;
    }
    // `where` is now the end of each list, and the lists lie in the order of `touched`.
    uint32_t begin = 0;
    for (uint32_t token : side.touched) {
      uint32_t end = side.counts[token];
      if (end >= kEnd - 1) continue;
      enqueue(key(token), places + begin, end - begin);
      begin = end;
    }
  }

  void enqueue(uint64_t key, const uint32_t* places, uint32_t count) {
    PairCounts::Entry& entry = pairs_.at(key);
    ++entry.queued;
    Candidate candidate{key, {}};
    candidate.places.count = count;
    if (count == 1) candidate.places.one = *places;
    else candidate.places.many = places;
    queue_.push(candidate, entry.count);
  }

  const std::vector<WordCount>& words_;
  const BpeOptions& options_;
  const Watch& watch_;
  Symbols symbols_;
  std::vector<Cell> cells_;
  std::vector<uint32_t> starts_;   // of the words
  PairCounts pairs_;
  Queue queue_;
  Side before_, after_;
  std::vector<std::unique_ptr<uint32_t[]>> arena_;
  std::vector<std::pair<uint32_t, uint32_t>> merges_;
};

}  // namespace

BpeResult train_bpe(const std::vector<WordCount>& words, const BpeOptions& options, const Watch& watch) {
  return Trainer(words, options, watch).run();
}

}  // namespace enfold
