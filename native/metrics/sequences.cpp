#include "metrics/sequences.hpp"

#include <algorithm>
#include <bit>

namespace enfold::metrics {

void NgramCounter::count(const Pairs& pairs, size_t said, size_t right_begin, size_t right_end, size_t order,
                         int64_t* shared) {
  // An n-gram is the (n-1)-gram before it and its last token, so that keys never outgrow 64 bits; 0 is the empty one.
  numbers_.clear();
  mine_.clear();
  Tokens text = pairs.said[said];
  grams_.assign(text.size(), 0);
  for (size_t n = 1; n <= order && n <= text.size(); ++n) {
    for (size_t i = 0; i + n <= text.size(); ++i) {
      uint32_t gram = numbers_.add(uint64_t(grams_[i]) << 32 | uint32_t(text[i + n - 1]));
      if (gram == mine_.size()) mine_.push_back(0);
      ++mine_[gram];
      grams_[i] = gram + 1;
    }
  }
  most_.assign(mine_.size(), 0);
  for (size_t other = right_begin; other < right_end; ++other) {
    text = pairs.right[other];
    here_.assign(mine_.size(), 0);
    grams_.assign(text.size(), 0);
    for (size_t n = 1; n <= order && n <= text.size(); ++n) {
      for (size_t i = 0; i + n <= text.size(); ++i) {
        if (grams_[i] == Numbering::none) continue;  // what does not occur has no continuation that does
        uint32_t gram = numbers_.find(uint64_t(grams_[i]) << 32 | uint32_t(text[i + n - 1]));
        grams_[i] = gram == Numbering::none ? gram : gram + 1;
        if (gram == Numbering::none || ++here_[gram] <= most_[gram]) continue;
        if (++most_[gram] <= mine_[gram]) ++shared[n - 1];
      }
    }
  }
}

// Bit j of the mask of a token says whether it stands in column j.
void Aligner::masks(Tokens columns) {
  blocks_ = (columns.size() + 63) / 64;
  numbers_.clear();
  masks_.clear();
  zero_.assign(blocks_, 0);
  for (size_t j = 0; j < columns.size(); ++j) {
    uint32_t token = numbers_.add(uint32_t(columns[j]));
    if (size_t end = (token + 1) * blocks_; masks_.size() < end) masks_.resize(end, 0);
    masks_[token * blocks_ + j / 64] |= uint64_t(1) << j % 64;
  }
}

const uint64_t* Aligner::mask(int32_t token) const {
  uint32_t number = numbers_.find(uint32_t(token));
  return number == Numbering::none ? zero_.data() : masks_.data() + number * blocks_;
}

int64_t Aligner::edits(Tokens first, Tokens second) {
  while (!first.empty() && !second.empty() && first.front() == second.front())
    first = first.subspan(1), second = second.subspan(1);
  while (!first.empty() && !second.empty() && first.back() == second.back())
    first = first.first(first.size() - 1), second = second.first(second.size() - 1);
  if (first.size() < second.size()) std::swap(first, second);
  if (second.empty()) return int64_t(first.size());
  masks(second);
  up_.assign(blocks_, ~uint64_t(0));  // where the table grows from one column to the next
  down_.assign(blocks_, 0);
  int64_t score = int64_t(second.size());
  const uint64_t last = uint64_t(1) << (second.size() - 1) % 64;
  for (int32_t token : first) {
    const uint64_t* match = mask(token);
    uint64_t grows = 1, shrinks = 0;  // from row to row, handed on from block to block
    for (size_t b = 0; b < blocks_; ++b) {
      uint64_t up = up_[b], down = down_[b], equal = match[b];
      uint64_t vertical = equal | down;
      equal |= shrinks;
      uint64_t horizontal = (((equal & up) + up) ^ up) | equal;
      uint64_t plus = down | ~(horizontal | up), minus = up & horizontal;
      if (b + 1 == blocks_) score += bool(plus & last) - bool(minus & last);
      uint64_t next_grows = plus >> 63, next_shrinks = minus >> 63;
      plus = plus << 1 | grows;
      minus = minus << 1 | shrinks;
      up_[b] = minus | ~(vertical | plus);
      down_[b] = plus & vertical;
      grows = next_grows;
      shrinks = next_shrinks;
    }
  }
  return score;
}

int64_t Aligner::common(Tokens first, Tokens second) {
  if (first.empty() || second.empty()) return 0;
  masks(second);
  up_.assign(blocks_, ~uint64_t(0));  // a bit is 0 where the length grows
  for (int32_t token : first) {
    const uint64_t* match = mask(token);
    uint64_t carry = 0;
    for (size_t b = 0; b < blocks_; ++b) {
      uint64_t row = up_[b], hit = row & match[b], sum = row + hit;
      uint64_t over = sum < row;
      sum += carry;
      over |= sum < carry;
      up_[b] = sum | (row & ~hit);
      carry = over;
    }
  }
  int64_t length = 0;
  for (size_t b = 0; b < blocks_; ++b) {
    uint64_t row = ~up_[b];
    if (b + 1 == blocks_ && second.size() % 64) row &= (uint64_t(1) << second.size() % 64) - 1;
    length += std::popcount(row);
  }
  return length;
}

void Aligner::mark_common(Tokens first, Tokens second, std::vector<char>& hit) {
  if (first.empty() || second.empty()) return;
  masks(second);
  rows_.assign((first.size() + 1) * blocks_, ~uint64_t(0));
  for (size_t i = 0; i < first.size(); ++i) {
    const uint64_t* match = mask(first[i]);
    const uint64_t* above = rows_.data() + i * blocks_;
    uint64_t *below = rows_.data() + (i + 1) * blocks_, carry = 0;
    for (size_t b = 0; b < blocks_; ++b) {
      uint64_t row = above[b], common = row & match[b], sum = row + common;
      uint64_t over = sum < row;
      sum += carry;
      over |= sum < carry;
      below[b] = sum | (row & ~common);
      carry = over;
    }
  }
  auto length = [&](size_t row, size_t column) {
    const uint64_t* bits = rows_.data() + row * blocks_;
    int64_t grown = 0;
    for (size_t b = 0; b < column / 64; ++b) grown += std::popcount(~bits[b]);
    if (column % 64) grown += std::popcount(~bits[column / 64] & ((uint64_t(1) << column % 64) - 1));
    return grown;
  };
  size_t row = first.size(), column = second.size();
  while (row && column) {
    if (first[row - 1] == second[column - 1]) {
      --row, --column;
      hit[row] = 1;
    } else if (length(row, column - 1) > length(row - 1, column)) {
      --column;
    } else {
      --row;
    }
  }
}

int64_t Aligner::union_hits(const std::vector<Tokens>& said, const std::vector<Tokens>& right) {
  if (said.size() == 1 && right.size() == 1) return common(right[0], said[0]);
  Numbering tokens;
  left_said_.clear();
  left_right_.clear();
  for (bool mine : {true, false}) {
    for (Tokens line : mine ? said : right) {
      for (int32_t token : line) {
        uint32_t number = tokens.add(uint32_t(token));
        if (number == left_said_.size()) left_said_.push_back(0), left_right_.push_back(0);
        ++(mine ? left_said_ : left_right_)[number];
      }
    }
  }
  int64_t hits = 0;
  for (Tokens line : right) {
    hit_.assign(line.size(), 0);
    for (Tokens other : said) mark_common(line, other, hit_);
    for (size_t i = 0; i < line.size(); ++i) {
      if (!hit_[i]) continue;
      uint32_t number = tokens.find(uint32_t(line[i]));
      if (left_said_[number] > 0 && left_right_[number] > 0) {
        ++hits;
        --left_said_[number];
        --left_right_[number];
      }
    }
  }
  return hits;
}

}  // namespace enfold::metrics
