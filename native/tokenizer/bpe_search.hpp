// Byte-pair encoding by search instead of by merging: for long words, such as whole sentences of Chinese.
//
// Merges that happen on one side of a place do not depend on the other side until one joins the two. So a way to cut a
// word into tokens is the one that merging finds if and only if every token is what merging makes of its own bytes, and
// every two neighbours stay apart when merged alone. The search takes the longest token that gets along with the one
// before it, and goes back where none does; what it has learned of a place or of two tokens it does not ask again.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/prefixes.hpp"

namespace enfold {

struct Bpe;

class BpeSearch {
 public:
  static constexpr size_t kLongestToken = 1024;  // no search in vocabularies that have longer ones

  explicit BpeSearch(const Bpe& model);
  // Appends what Bpe::tokenize_bytes would; false, with nothing appended, where this vocabulary cannot be searched.
  bool tokenize(std::string_view word, std::vector<int32_t>& out) const;

 private:
  enum State : uint32_t { Unknown, Never, Regular, Odd };
  // How merging makes a token: its last two parts, and when they met. Regular: later than either part was made.
  struct Origin {
    State state;
    uint32_t rank;  // of the last merge plus one; 0 for bytes
    uint32_t left, right;
  };
  Origin origin(uint32_t id) const {
    uint32_t known = tokens_[id].made.load(std::memory_order_acquire);
    return known ? known_origin(id, known) : find_origin(id);
  }
  Origin known_origin(uint32_t id, uint32_t made) const {
    const Token& token = tokens_[id];
    return {State(made & 3), made >> 2, token.left.load(std::memory_order_relaxed), token.right.load(std::memory_order_relaxed)};
  }
  Origin find_origin(uint32_t id) const;
  bool fits(uint32_t left, uint32_t right) const;
  bool stay_apart(uint32_t left, uint32_t right) const;
  bool stay_apart_merged(uint32_t left, uint32_t right) const;
  std::string_view raw(uint32_t id) const { return keys_.key(id); }
  // Whether two tokens may have a merge; most that have none are told apart without looking for it.
  bool may_merge(uint32_t left, uint32_t right) const { return tokens_[left].rights & bit(right) && tokens_[right].lefts & bit(left); }
  static uint64_t bit(uint32_t id) { return uint64_t(1) << (id * 0x9E3779B1u >> 26); }

  struct alignas(32) Token {
    // Found when first asked for, by any thread: all find the same.
    std::atomic<uint32_t> made{0}, left{0}, right{0};  // made: rank << 2 | state
    uint64_t rights = 0, lefts = 0;                    // the bits of what it merges with
  };
  const Bpe& model_;
  uint64_t serial_;  // of this search among all there were
  mutable std::vector<Token> tokens_;  // by id
  Prefixes keys_;                      // the bytes of the tokens
  bool possible_ = true;
};

}  // namespace enfold
