// What training knows of pairs of neighbouring tokens: their counts, where they stand, and which is the next to merge.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <vector>

#include "tokenizer/vocab.hpp"

namespace enfold {

// Counts of pairs. Open addressing; entries are never removed.
class PairCounts {
 public:
  struct Entry {
    uint64_t key = kEmpty;
    int64_t count = 0;
    uint32_t queued = 0;  // how many lists of places were made for it
    uint32_t work = 0;    // the caller's
  };
  PairCounts() : slots_(size_t(1) << 12) {}
  static uint64_t key(uint32_t left, uint32_t right) { return uint64_t(left) << 32 | right; }
  // The entry of a pair, made when there is none. It moves when others are made.
  Entry& at(uint64_t key) {
    if (size_ * 2 >= slots_.size()) grow();
    for (size_t at = place(key);; at = (at + 1) & (slots_.size() - 1)) {
      if (slots_[at].key == key) return slots_[at];
      if (slots_[at].key != kEmpty) continue;
      slots_[at].key = key;
      ++size_;
      return slots_[at];
    }
  }
  void prefetch(uint64_t key) const { __builtin_prefetch(&slots_[place(key)]); }
  template <class Fn>
  void each(Fn fn) {
    for (Entry& entry : slots_)
      if (entry.key != kEmpty) fn(entry);
  }

 private:
  static constexpr uint64_t kEmpty = ~uint64_t(0);
  size_t place(uint64_t key) const { return mix(key, 0x9E3779B97F4A7C15) & (slots_.size() - 1); }
  void grow() {
    std::vector<Entry> old(slots_.size() * 2);
    old.swap(slots_);
    for (const Entry& entry : old) {
      if (entry.key == kEmpty) continue;
      size_t at = place(entry.key);
      while (slots_[at].key != kEmpty) at = (at + 1) & (slots_.size() - 1);
      slots_[at] = entry;
    }
  }
  std::vector<Entry> slots_;
  size_t size_ = 0;
};

// The places of a pair in the corpus: one lies in the list itself.
struct PairPlaces {
  union {
    const uint32_t* many;
    uint32_t one;
  };
  uint32_t count = 0;
  const uint32_t* begin() const { return count == 1 ? &one : many; }
  const uint32_t* end() const { return begin() + count; }
};

// A pair that waits to be merged.
struct Candidate {
  uint64_t key;
  PairPlaces places;
};

// The waiting pairs: the one of the highest count first, and the lowest key among equals. Counts are looked at again
// when a pair's turn comes. Below the highest count that was reached so far pairs lie in a heap a count, unordered:
// most are never looked at again.
class Queue {
 public:
  explicit Queue(PairCounts& counts) : counts_(counts), waiting_(kLevels) {}

  void push(const Candidate& candidate, int64_t count) {
    if (count <= 0) return;
    if (count < level_) {
      waiting_[size_t(count)].push_back(candidate);
      return;
    }
    ready_.push_back({count, candidate});
    std::push_heap(ready_.begin(), ready_.end());
  }
  // Takes the next pair out and says its count; false when there is none.
  bool pop(Candidate& out, int64_t& count) {
    for (;;) {
      while (!ready_.empty()) {
        Ready top = ready_.front();
        std::pop_heap(ready_.begin(), ready_.end());
        ready_.pop_back();
        int64_t now = counts_.at(top.candidate.key).count;
        if (now != top.count) {
          push(top.candidate, now);
          continue;
        }
        out = top.candidate;
        count = now;
        return true;
      }
      do {
        if (--level_ <= 0) return false;
      } while (waiting_[size_t(level_)].empty());
      std::vector<Candidate> all;
      all.swap(waiting_[size_t(level_)]);
      for (size_t i = 0; i < all.size(); ++i) {
        if (i + 16 < all.size()) counts_.prefetch(all[i + 16].key);
        int64_t now = counts_.at(all[i].key).count;
        if (now < level_) push(all[i], now);
        else ready_.push_back({now, all[i]});
      }
      std::make_heap(ready_.begin(), ready_.end());
    }
  }

 private:
  static constexpr int64_t kLevels = 1 << 16;  // counts above are in one heap
  struct Ready {
    int64_t count;
    Candidate candidate;
    bool operator<(const Ready& other) const {
      return count != other.count ? count < other.count : candidate.key > other.candidate.key;
    }
  };
  PairCounts& counts_;
  std::vector<Ready> ready_;
  std::vector<std::vector<Candidate>> waiting_;
  int64_t level_ = kLevels;
};

}  // namespace enfold
