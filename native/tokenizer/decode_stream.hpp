// Decoding a stream of ids: each step gives the text that is new and whole.
#pragma once

#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "tokenizer/decode_table.hpp"

namespace enfold {

// What was given out would have to be taken back.
struct InvalidPrefix : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// Keeps the ids whose text the next one may still change: since what was given out last, and before that only as many as
// the text after them depends on. A step costs what its own ids cost.
class DecodeStream {
 public:
  DecodeStream(std::vector<uint32_t> ids, bool skip_special_tokens) : skip_(skip_special_tokens), given_(std::move(ids)) {}

  // The text that `ids` add; none while it ends within a character. Throws InvalidPrefix.
  std::optional<std::string> step(const DecodeTable& table, const std::vector<uint32_t>& ids);

 private:
  const std::string& text(const DecodeTable& table);

  bool skip_;
  std::vector<uint32_t> given_;  // not looked at yet
  std::vector<uint32_t> ids_;    // without those that decoding passes over
  std::string prefix_;           // the text of the first prefix_ids_ of them, which was given out
  size_t prefix_ids_ = 0;
  // The text of ids_, as far as it is known: of the first known_ of them, and for tables that only append bytes the ones
  // that do not make a whole character yet.
  std::string text_, tail_;
  size_t known_ = 0;
};

}  // namespace enfold
