// What words are made of before any merge: special tokens, the alphabet, and its characters with a prefix or a suffix.
#pragma once

#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "text/utf8.hpp"
#include "tokenizer/train/bpe.hpp"

namespace enfold {

// A value for every code point; only the blocks that are used take memory.
template <class Value>
class ByCode {
 public:
  Value& operator[](char32_t code) {
    auto& block = blocks_[code >> 8];
    if (!block) block = std::make_unique<Value[]>(256);
    return block[code & 255];
  }
  // Calls fn(code, value) for every code point of a used block, in ascending order.
  template <class Fn>
  void each(Fn fn) {
    for (size_t i = 0; i < blocks_.size(); ++i)
      if (blocks_[i])
        for (size_t j = 0; j < 256; ++j) fn(char32_t(i << 8 | j), blocks_[i][j]);
  }

 private:
  std::vector<std::unique_ptr<Value[]>> blocks_ = std::vector<std::unique_ptr<Value[]>>(0x1100);
};

class Symbols {
 public:
  static constexpr uint32_t kNone = ~uint32_t(0);

  explicit Symbols(const BpeOptions& options);
  // The characters of all words, the frequent ones first where their number is limited.
  void add_alphabet(const std::vector<const std::vector<WordCount>*>& lists);
  // Calls use(word, id) for every character of the words: the id of how it is written there, kNone outside the alphabet.
  // With `adding`, the ways of writing that are new get ids; else they are kNone, too.
  template <class Use>
  void write(const std::vector<WordCount>& words, Use use, bool adding = true);
  // The token that two make together.
  uint32_t join(uint32_t left, uint32_t right);

  Vocab vocab;
  std::vector<uint32_t> lengths;  // by id: in characters of the alphabet

 private:
  // How a character is written depends on whether it is a word's first and last.
  struct Ids {
    uint32_t variant[4] = {};
  };
  uint32_t intern(std::string_view token);
  void give_ids(ByCode<Ids>& seen, bool adding);

  const BpeOptions& options_;
};

template <class Use>
void Symbols::write(const std::vector<WordCount>& words, Use use, bool adding) {
  ByCode<Ids> ids;
  auto each = [&](auto fn) {
    for (size_t index = 0; index < words.size(); ++index) {
      std::string_view word = words[index].word;
      for (size_t at = 0; at < word.size();) {
        bool first = at == 0;
        char32_t code = utf8_next(word, at);
        fn(index, ids[code].variant[(options_.prefix && !first) + 2 * (options_.suffix && at == word.size())]);
      }
    }
  };
  each([](size_t, uint32_t& seen) { seen = 1; });
  give_ids(ids, adding);
  each([&](size_t index, uint32_t id) { use(index, id); });
}

// A pair can be merged twice, when one of its tokens was made anew meanwhile; its rank is the last.
std::vector<std::pair<uint32_t, uint32_t>> last_of_each(const std::vector<std::pair<uint32_t, uint32_t>>& merges);

}  // namespace enfold
