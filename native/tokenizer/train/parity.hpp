// Learning merges for several languages so that each is cut equally well: Foroutan et al. (2025), "Parity-Aware
// Byte-Pair Encoding", https://arxiv.org/abs/2508.04796.
#pragma once

#include "tokenizer/train/bpe.hpp"

namespace enfold {

struct ParityOptions {
  BpeOptions bpe;  // vocab_size is not looked at
  size_t num_merges = 32000;
  size_t global_merges = 0;  // so many first merges are those of a plain BPE of all languages together
  bool window = false;       // no language gets more than alpha / languages of the last window_size merges
  size_t window_size = 100;
  double alpha = 2.0;
  std::vector<double> ratio;   // how well each language is to be compressed, compared with the others; or empty
  bool total_symbols = false;  // num_merges counts the special tokens and the characters, too
};

// `languages` holds the words of each language, `dev` those of texts that say the same in every one, or nothing. The next
// merge is the most frequent pair of the language that is longest: on `dev`; else of the one with the least compression
// for its ratio; else on the words themselves.
BpeResult train_parity(const std::vector<const std::vector<WordCount>*>& languages, const std::vector<const std::vector<WordCount>*>& dev,
                       const ParityOptions& options, const Watch& watch);

}  // namespace enfold
