// Learning a Unigram model: many pieces first, then expectation maximization and pruning in turns.
// Kudo (2018), "Subword Regularization", https://arxiv.org/abs/1804.10959.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tokenizer/train/bpe.hpp"

namespace enfold {

struct UnigramOptions {
  size_t vocab_size = 8000;
  size_t n_sub_iterations = 2;     // steps of expectation maximization between two prunings
  double shrinking_factor = 0.75;  // what a pruning leaves of the pieces
  std::vector<std::string> special_tokens;
  std::vector<char32_t> initial_alphabet;
  std::optional<std::string> unk_token;
  size_t max_piece_length = 16;    // in characters
  size_t seed_size = 1'000'000;    // how many pieces there are at first
};

struct UnigramResult {
  std::vector<std::pair<std::string, double>> pieces;  // in the order of their ids
  std::optional<size_t> unk_id;
};

// Throws std::invalid_argument when the characters alone are more than vocab_size, std::overflow_error when the words
// hold more than 2^31 characters.
UnigramResult train_unigram(const std::vector<WordCount>& words, const UnigramOptions& options, const Watch& watch);

}  // namespace enfold
