// What is put around the tokens of one or two sequences.
#pragma once

#include <memory>

#include "text/json.hpp"
#include "tokenizer/encoding.hpp"

namespace enfold {

struct PostProcessor {
  virtual ~PostProcessor() = default;
  // Takes one encoding a sequence, gives the parts of the result in order.
  virtual std::vector<Encoding> process(std::vector<Encoding> encodings, bool add_special_tokens) const = 0;
  // How many special tokens a single sequence or a pair gets.
  virtual size_t added(bool pair) const = 0;
  // Whether it changes offsets.
  virtual bool trims() const { return false; }
};
using PostProcessorPtr = std::shared_ptr<const PostProcessor>;

// From the "post_processor" member of tokenizer.json; null for null.
PostProcessorPtr make_post_processor(const Json& spec);

// One step of a template: a sequence (0 or 1), or special tokens.
struct TemplatePiece {
  int sequence = -1;  // -1: the special tokens
  int32_t type_id = 0;
  std::vector<int32_t> ids;
  std::vector<std::string> tokens;
};

// What a processor does to ids, where that is a template; false where only running it tells.
bool as_template(const PostProcessor* processor, bool pair, std::vector<TemplatePiece>& out);

}  // namespace enfold
