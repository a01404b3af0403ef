// Where tokens came from, told afterwards: from a text and its ids, not while encoding. So nobody pays for offsets who
// does not read them, and the fast ways to ids need to know nothing of them.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/tokenizer.hpp"

namespace enfold {

// The texts of tokens that the vocabulary does not tell, by position: of those found before the model saw the text, and
// of unknown ones where the model keeps what they are.
using Names = std::vector<std::pair<uint32_t, std::string>>;

// Ids that are still to be placed, and where their places go.
struct Unplaced {
  const int32_t *id, *end;
  Span* span;               // in bytes of the whole text
  int32_t* word = nullptr;  // null: not wanted
  int32_t words = 0;        // how many words there were so far
  uint32_t base = 0;        // where the part at hand begins in the whole text
  Names* names = nullptr;   // null: not wanted
  const int32_t* first = nullptr;  // the first id of all

  // The token to be placed next stands for a text of its own.
  void name(std::string text) {
    if (names) names->emplace_back(uint32_t(id - first), std::move(text));
  }

  bool done() const { return id == end; }
  void place(uint32_t begin, uint32_t stop) {
    *span++ = {begin, stop};
    if (word) *word++ = words;
    ++id;
  }
};

// What one kind of tokenizer's ids say about their places. The bytes of a span may end inside a character: the span then
// means the whole character.
struct Aligner {
  virtual ~Aligner() = default;
  // Places the ids of `part`, which holds no added tokens. `starts`: it is the beginning of the text. False where the
  // ids do not tell.
  virtual bool place(std::string_view part, bool starts, Unplaced& ids) const = 0;
};
using AlignerPtr = std::unique_ptr<const Aligner>;

// Each is null for pipelines of another kind.
AlignerPtr byte_level_aligner(const Pipeline& pipeline);
AlignerPtr bert_aligner(const Pipeline& pipeline);
AlignerPtr spaces_aligner(const Pipeline& pipeline);
AlignerPtr unigram_aligner(const Pipeline& pipeline);

// Null where only the general way knows the places.
AlignerPtr make_aligner(const Pipeline& pipeline);

// What is known of the places of a text's ids, in characters.
struct Places {
  Span* spans;
  int32_t* words = nullptr;  // null: not wanted
  Names* names = nullptr;    // null: not wanted
};

// Places all ids of a text, added tokens among them. False where that cannot be told. `ascii`: the text is known to be.
bool align(const Pipeline& pipeline, const Aligner& aligner, std::string_view text, bool ascii, const int32_t* ids, size_t count, Places out);

}  // namespace enfold
