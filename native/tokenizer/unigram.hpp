// The Unigram model: of all ways to cut a word into tokens, the one whose scores have the highest sum.
// Kudo (2018), "Subword Regularization", https://arxiv.org/abs/1804.10959.
#pragma once

#include <mutex>
#include <utility>

#include "tokenizer/model.hpp"
#include "tokenizer/once.hpp"
#include "tokenizer/prefixes.hpp"
#include "tokenizer/unigram_seams.hpp"

namespace enfold {

struct Unigram final : Model {
  // Pieces in the order of their ids, with their scores (log probabilities).
  Unigram(std::vector<std::pair<std::string, double>> pieces, std::optional<size_t> unk_id, bool byte_fallback);

  std::vector<double> scores;  // by id
  std::optional<size_t> unk_id;
  bool byte_fallback = false;
  // Sampling instead of the best way: the weight of scores, and from how many of the best ways (none: from all).
  std::optional<double> alpha;
  std::optional<size_t> nbest_size;

  void tokenize(std::string_view word, std::vector<Piece>& out) const override;
  // As tokenize(), without saying where the tokens are.
  void tokenize_ids(std::string_view word, std::vector<int32_t>& out) const;
  // The same, and whether the best way is clearly that: none came so close that what stands before the word, to whose score
  // each way's is added, could decide between them.
  bool tokenize_clearly(std::string_view word, std::vector<int32_t>& out) const;
  const UnigramSeams& seams() const;
  std::string to_json(bool options_only) const override;
  size_t size() const override { return scores.size(); }
  bool deterministic() const override { return !alpha || !(*alpha > 0); }
  bool keeps_text(int32_t id) const override { return unk_id && size_t(id) == *unk_id; }
  // The same model with other sampling.
  std::shared_ptr<Unigram> with_sampling(std::optional<double> alpha, std::optional<size_t> nbest_size) const;

 private:
  // A way to a place of the word: the token that leads there, and where it begins.
  struct Step {
    double score;
    uint32_t start;
    int32_t id;
  };
  struct Tables {
    std::once_flag once;
    Prefixes keys;
    Once<UnigramSeams> seams;
  };
  const Prefixes& keys() const;
  // Whether a way that scores `more` is better than one that scores `than`.
  struct Better {
    bool operator()(double more, double than) const { return more > than; }
  };
  template <class Compare, class Emit>
  void best(std::string_view word, Compare better, Emit emit) const;
  template <class Emit>
  void emit_piece(std::string_view word, uint32_t begin, uint32_t end, int32_t id, Emit& emit) const;
  void sample(std::string_view word, std::vector<Piece>& out) const;
  [[noreturn]] void no_unk() const;

  std::shared_ptr<Tables> tables_ = std::make_shared<Tables>();
  std::array<int32_t, 256> fallback_{};  // <0xNN>
  double unk_score_ = 0;
};

// From the "model" member of tokenizer.json. Throws std::invalid_argument.
ModelPtr make_unigram(const Json& spec);

}  // namespace enfold
