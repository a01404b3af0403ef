// The common shape of SentencePiece's Unigram tokenizers: a normalizer in known steps, words that begin with a mark.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "text/precompiled.hpp"
#include "tokenizer/tokenizer.hpp"
#include "tokenizer/unigram.hpp"

namespace enfold {

inline constexpr std::string_view kMark = "\u2581";
enum class Mark { Never, First, Always };  // whether one is put before the first word

struct Sides {
  bool left = false, right = false;
};

// Drops white space at the sides.
void trim(std::string_view& text, Sides sides);

// A normalizer taken apart: what trims the text as given, what looks at one place at a time, what trims and collapses
// blanks at the end.
struct UnigramSteps {
  Sides before, after;
  std::vector<const Normalizer*> local;
  bool collapse = false, marks = false;  // runs of blanks become one; marks: and then are no white space any more
};

struct UnigramShape {
  const Unigram* model;
  Mark mark;
  UnigramSteps steps;

  // The character map, where it is all there is to normalizing.
  const PrecompiledNormalizer* map() const {
    return steps.local.size() == 1 ? dynamic_cast<const PrecompiledNormalizer*>(steps.local[0]) : nullptr;
  }
};

// Nothing for pipelines of another kind.
std::optional<UnigramShape> unigram_shape(const Pipeline& pipeline);

}  // namespace enfold
