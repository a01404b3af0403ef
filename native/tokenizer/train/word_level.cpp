#include "tokenizer/train/word_level.hpp"

#include <algorithm>
#include <unordered_map>

namespace enfold {

Vocab train_word_level(const std::vector<WordCount>& words, size_t vocab_size, uint64_t min_frequency,
                       const std::vector<std::string>& special_tokens) {
  std::vector<WordCount> kept;
  for (const WordCount& word : words)
    if (word.count >= min_frequency) kept.push_back(word);
  std::sort(kept.begin(), kept.end(), [](const WordCount& a, const WordCount& b) { return a.count != b.count ? a.count > b.count : a.word < b.word; });
  std::vector<std::string_view> order(special_tokens.begin(), special_tokens.end());
  for (const WordCount& word : kept) order.push_back(word.word);
  if (order.size() > vocab_size) order.resize(vocab_size);
  std::unordered_map<std::string_view, uint32_t> places;
  places.reserve(order.size());
  for (size_t i = 0; i < order.size(); ++i) places[order[i]] = uint32_t(i);
  Vocab vocab;
  for (size_t i = 0; i < order.size(); ++i)
    if (places[order[i]] == i) vocab.add(order[i], uint32_t(i));
  return vocab;
}

}  // namespace enfold
