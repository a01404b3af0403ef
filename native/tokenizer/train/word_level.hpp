// The most frequent words.
#pragma once

#include <string>
#include <vector>

#include "tokenizer/train/words.hpp"

namespace enfold {

// Special tokens first, then words by falling count, then by their bytes, up to `vocab_size` places. A word that is a
// special token takes its own place, and the special token's stays empty.
Vocab train_word_level(const std::vector<WordCount>& words, size_t vocab_size, uint64_t min_frequency,
                       const std::vector<std::string>& special_tokens);

}  // namespace enfold
