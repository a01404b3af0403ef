// Cutting a text into the words that a model sees one at a time.
#pragma once

#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "text/json.hpp"
#include "text/scanners.hpp"
#include "text/text.hpp"

namespace enfold {

// A token that a component of the user's own made, and the bytes of its split that it covers.
struct GivenToken {
  uint32_t id;
  std::string value;
  size_t begin, end;
};

// A piece of the input: an added token (`added` is its id), a text still to be cut and tokenized, or one that comes with
// its tokens (`added` is kGiven then, so that everything which leaves added tokens alone leaves it alone, too).
struct Split {
  static constexpr int32_t kGiven = INT32_MAX;
  Text text;
  int32_t added = -1;
  std::shared_ptr<const std::vector<GivenToken>> tokens = nullptr;
};

struct PreTokenizer {
  virtual ~PreTokenizer() = default;
  // Cuts every split that is not an added token. With `map_bytes` false the byte-level step leaves the bytes as they
  // are: a model that knows them needs no visible characters.
  virtual void run(std::vector<Split>& splits, bool map_bytes) const = 0;
  // Whether all it does is to set every digit apart.
  virtual bool isolates_digits() const { return false; }
  // Whether ASCII blanks are in no word, and nothing looks across them.
  virtual bool drops_blanks() const { return false; }
};
using PreTokenizerPtr = std::shared_ptr<const PreTokenizer>;

// The words of a text as (begin, end) in bytes, for the settings of a Split; those that hold nothing are among them where a
// regular expression matches nothing. Throws std::invalid_argument.
std::vector<std::pair<size_t, size_t>> split_ranges(const Json& spec, std::string_view text);

// From the "pre_tokenizer" member of tokenizer.json; null for null. Throws std::invalid_argument for what is unknown.
PreTokenizerPtr make_pre_tokenizer(const Json& spec);

struct ByteLevelPreTokenizer final : PreTokenizer {
  bool add_prefix_space, use_regex;
  void run(std::vector<Split>& splits, bool map_bytes) const override;
};

struct BertPreTokenizer final : PreTokenizer {
  void run(std::vector<Split>& splits, bool map_bytes) const override;
  bool drops_blanks() const override { return true; }
};

struct MetaspacePreTokenizer final : PreTokenizer {
  enum Scheme { First, Never, Always };
  std::string replacement;
  Scheme scheme;
  bool split;
  void run(std::vector<Split>& splits, bool map_bytes) const override;
};

struct PreTokenizerSequence final : PreTokenizer {
  std::vector<PreTokenizerPtr> steps;
  void run(std::vector<Split>& splits, bool map_bytes) const override {
    for (const auto& step : steps) step->run(splits, map_bytes);
  }
  bool drops_blanks() const override {
    if (steps.empty() || !steps[0]->drops_blanks()) return false;
    // Only Metaspace asks where in the text a split lies.
    for (const auto& step : steps)
      if (dynamic_cast<const MetaspacePreTokenizer*>(step.get())) return false;
    return true;
  }
};

// A scanner split with behaviour Isolated: what GPT-2's successors have before ByteLevel.
struct ScannerPreTokenizer final : PreTokenizer {
  Scanner scan;
  void run(std::vector<Split>& splits, bool map_bytes) const override;
};

}  // namespace enfold
