#include "tokenizer/bpe_search.hpp"

#include <algorithm>

#include "tokenizer/model.hpp"

namespace enfold {
namespace {

// What is known of pairs of tokens; a thread keeps it for the search that it used last.
struct Memo {
  static constexpr size_t kSize = size_t(1) << 16;
  uint64_t serial = 0;
  std::vector<uint64_t> pairs;  // left, right and whether they stay apart, at the place of their hash
};
thread_local Memo memo;
std::atomic<uint64_t> serials{0};

}  // namespace

BpeSearch::BpeSearch(const Bpe& model) : model_(model), serial_(++serials), tokens_(model.vocab.ids()) {
  std::string token, bytes;
  std::vector<uint32_t> starts;
  starts.reserve(tokens_.size() + 1);
  model.vocab.each([&](std::string_view text, uint32_t id) {
    if (!bytes_of_visible(text, token)) return;
    starts.resize(id + 1, uint32_t(bytes.size()));
    bytes += token;
    possible_ = possible_ && token.size() <= kLongestToken;
  });
  starts.resize(tokens_.size() + 1, uint32_t(bytes.size()));
  possible_ = possible_ && tokens_.size() < Prefixes::kMost;
  if (!possible_) return;
  for (auto [left, right] : model.merges) {
    tokens_[left].rights |= bit(right);
    tokens_[right].lefts |= bit(left);
  }
  keys_ = Prefixes(std::move(bytes), std::move(starts), " ");
}

BpeSearch::Origin BpeSearch::find_origin(uint32_t id) const {
  std::string_view word = raw(id);
  thread_local std::vector<int32_t> ids;
  thread_local std::vector<uint64_t> pairs;
  ids.resize(word.size() + 1);
  pairs.resize(word.size() + 1);
  Bpe::Last last{};
  uint32_t made = Never;
  Token& token = tokens_[id];
  if (model_.merge_bytes(word, ids.data(), pairs.data(), &last) == 1 && ids[0] == int32_t(id)) {
    made = Regular;
    if (word.size() > 1) {
      // The parts of what merging makes are themselves made by merging.
      Origin left = origin(last.left), right = origin(last.right);
      if (left.state != Regular || right.state != Regular || last.rank + 1 <= std::max(left.rank, right.rank)) made = Odd;
      made |= (last.rank + 1) << 2;
      token.left.store(last.left, std::memory_order_relaxed);
      token.right.store(last.right, std::memory_order_relaxed);
    }
  }
  token.made.store(made, std::memory_order_release);
  return known_origin(id, made);
}

bool BpeSearch::fits(uint32_t left, uint32_t right) const {
  uint64_t key = uint64_t(left) << 24 | right;
  uint64_t& slot = memo.pairs[mix(key, 0x9E3779B97F4A7C15) & (Memo::kSize - 1)];
  if (slot >> 1 == key + 1) [[likely]] return slot & 1;
  bool apart = stay_apart(left, right);
  slot = (key + 1) << 1 | uint64_t(apart);
  return apart;
}

// Undoes the merges of two tokens from the last one on, and looks whether a merge across would have come first. Merges of
// one rank go from left to right: those in the left token come before the one across, and those in the right one after it.
bool BpeSearch::stay_apart(uint32_t left, uint32_t right) const {
  Origin a = origin(left), b = origin(right);
  if (a.state != Regular || b.state != Regular) return stay_apart_merged(left, right);
  uint32_t before_a = ~uint32_t(0), before_b = ~uint32_t(0);
  for (uint32_t x = left, y = right;;) {
    if (const MergeTable::Merge* merge = may_merge(x, y) ? model_.find_merge(x, y) : nullptr) {
      uint32_t rank = merge->rank + 1;
      if (rank <= std::max(a.rank, b.rank)) return stay_apart_merged(left, right);
      if (rank < before_a && rank <= before_b) return false;
    }
    if (a.rank == 0 && b.rank == 0) return true;
    if (a.rank > b.rank) before_a = a.rank, x = a.right, a = origin(x);
    else before_b = b.rank, y = b.left, b = origin(y);
  }
}

bool BpeSearch::stay_apart_merged(uint32_t left, uint32_t right) const {
  std::string word(raw(left));
  word += raw(right);
  std::vector<int32_t> ids(word.size() + 1);
  std::vector<uint64_t> pairs(word.size() + 1);
  return model_.merge_bytes(word, ids.data(), pairs.data(), nullptr) == 2 && ids[0] == int32_t(left) && ids[1] == int32_t(right);
}

bool BpeSearch::tokenize(std::string_view word, std::vector<int32_t>& out) const {
  if (!possible_) return false;
  if (memo.serial != serial_) {
    memo.pairs.assign(Memo::kSize, 0);
    memo.serial = serial_;
  }
  thread_local std::vector<uint64_t> dead;  // places behind which no way goes on; there is only one way to each place
  size_t size = word.size(), base = out.size(), at = 0, limit = SIZE_MAX;
  bool went_back = false;
  uint32_t found[kLongestToken], ends[kLongestToken];
  while (at < size) {
    // All tokens that begin here and are shorter than `limit`.
    size_t count = 0;
    size_t stop = limit > size - at ? size : at + limit - 1;
    keys_.each(word.substr(at, stop - at), [&](size_t length, uint32_t id) {
      found[count] = id;
      ends[count++] = uint32_t(length);
    });
    bool on = false;
    while (count-- > 0) {
      uint32_t id = found[count];
      size_t end = at + ends[count];
      if (went_back && (dead[end >> 6] >> (end & 63) & 1)) continue;
      if (out.size() > base ? !fits(uint32_t(out.back()), id) : origin(id).state == Never) continue;
      out.push_back(int32_t(id));
      at = end;
      limit = SIZE_MAX;
      on = true;
      break;
    }
    if (on) continue;
    if (out.size() == base) return false;  // a byte without a token: not in vocabularies that this is made for
    if (!went_back) dead.assign(size / 64 + 1, 0), went_back = true;
    dead[at >> 6] |= uint64_t(1) << (at & 63);
    limit = raw(uint32_t(out.back())).size();
    at -= limit;
    out.pop_back();
  }
  return true;
}

}  // namespace enfold
