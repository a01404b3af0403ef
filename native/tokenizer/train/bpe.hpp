// Learning merges: Sennrich, Haddow and Birch (2016), https://arxiv.org/abs/1508.07909.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "tokenizer/train/words.hpp"

namespace enfold {

// Told how far a stage of training has come. May throw to end the training.
using Watch = std::function<void(const char* stage, size_t done, size_t total)>;

struct BpeOptions {
  size_t vocab_size = 30000;
  uint64_t min_frequency = 0;
  std::vector<std::string> special_tokens;
  std::optional<size_t> limit_alphabet, max_token_length;
  std::vector<char32_t> initial_alphabet;
  std::optional<std::string> prefix, suffix;  // put before a word's later characters, and behind its last
};

struct BpeResult {
  Vocab vocab;
  std::vector<std::pair<uint32_t, uint32_t>> merges;  // in the order of their rank
};

// Throws std::overflow_error when the words are too many for 32-bit places.
BpeResult train_bpe(const std::vector<WordCount>& words, const BpeOptions& options, const Watch& watch);

}  // namespace enfold
