// From texts to the counts of their words, with a tokenizer's own normalizer and pre-tokenizer.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "tokenizer/tokenizer.hpp"
#include "tokenizer/train/words.hpp"

namespace enfold {

class WordCounter {
 public:
  explicit WordCounter(PipelinePtr pipeline);
  // Counts the words of every text, on all threads.
  void feed(const std::vector<std::string_view>& texts);
  // As feed, each line of `block` being a text; its line break belongs to it.
  void feed_lines(std::string_view block);
  // All words as the model sees them, in the order of their bytes; the views live as long as the counter. The first call
  // ends the counting.
  const std::vector<WordCount>& words();

 private:
  // How a raw text falls into parts whose words depend on nothing around them. The parts are counted, and what is left
  // to do is done once for each that is distinct.
  enum class Cut {
    None,    // every text is counted as the words that it gives
    Scan,    // by a scanner; the parts are the words, but for the look of their bytes
    Blanks,  // at ASCII white space, which is in no word
    Marks,   // before every mark or blank
  };
  void count(std::string_view text, WordMap& map) const;
  void run(size_t chunks, const std::function<void(size_t, WordMap&)>& job);
  void expand(std::string_view part, uint64_t count, WordMap& map) const;

  PipelinePtr pipeline_;
  Cut cut_ = Cut::None;
  Scanner scan_ = nullptr;
  bool map_bytes_ = false, prefix_space_ = false;
  void finish();

  std::vector<WordMap> maps_;  // one a thread
  WordMap made_;
  std::vector<WordCount> words_;
  bool finished_ = false;
};

}  // namespace enfold
