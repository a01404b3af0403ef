// The result of encoding one input.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "text/text.hpp"
#include "tokenizer/model.hpp"

namespace enfold {

using Name = std::shared_ptr<const std::string>;

struct Encoding {
  static constexpr int32_t kNoWord = -1;

  std::vector<int32_t> ids, type_ids, words;
  std::vector<Span> offsets;  // in characters
  std::vector<uint8_t> special, attention;
  std::vector<Encoding> overflowing;
  std::map<size_t, std::pair<size_t, size_t>> sequences;  // sequence → the range of its tokens
  // The text of tokens that are not the model's own: added, special and padding tokens, by position.
  std::vector<std::pair<uint32_t, Name>> names;
  std::shared_ptr<const Model> model;  // names all the others

  size_t size() const { return ids.size(); }
  void push(int32_t id, int32_t type_id, int32_t word, Span span, bool is_special = false, Name name = nullptr);
  std::vector<std::string> tokens() const;
  // The text of the model's token behind an id.
  std::string name(size_t index) const;

  void set_type_ids(int32_t type_id) { type_ids.assign(ids.size(), type_id); }
  void set_sequence(size_t sequence) { sequences[sequence] = {0, size()}; }
  size_t n_sequences() const { return sequences.empty() ? 1 : sequences.size(); }
  std::pair<size_t, size_t> range(size_t sequence) const;
  std::optional<size_t> token_to_sequence(size_t token) const;
  std::optional<size_t> char_to_token(size_t position, size_t sequence) const;
  std::optional<std::pair<size_t, size_t>> word_to_tokens(int32_t word, size_t sequence) const;

  // Appends `other`; their overflowing parts are combined pair by pair.
  void merge(const Encoding& other, bool growing_offsets);
  // Cuts to `max_length` tokens; what is cut off goes to overflowing, in windows that share `stride` tokens.
  void truncate(size_t max_length, size_t stride, bool left);
  void pad(size_t length, int32_t id, int32_t type_id, const Name& token, bool left);

 private:
  Encoding part(size_t begin, size_t end) const;
  void append(const Encoding& other, bool growing_offsets);
};

struct Truncation {
  enum Strategy { LongestFirst, OnlyFirst, OnlySecond };
  size_t max_length = 512, stride = 0;
  Strategy strategy = LongestFirst;
  bool left = false;
};

struct Padding {
  std::optional<size_t> length, multiple;
  int32_t id = 0, type_id = 0;
  std::string token = "[PAD]";
  bool left = false;
};

// Cuts one or two encodings to what `truncation` allows together. Throws std::runtime_error where that cannot be done.
void truncate(Encoding& first, Encoding* second, const Truncation& truncation);

// The length that texts of which the longest has `longest` tokens are padded to.
size_t padded_length(size_t longest, const Padding& padding);

// Pads all to one length.
void pad(std::vector<Encoding*>& encodings, const Padding& padding);

// How many tokens of the first and the second sequence remain under "longest first".
std::pair<size_t, size_t> longest_first(size_t first, size_t second, size_t max_length);

}  // namespace enfold
