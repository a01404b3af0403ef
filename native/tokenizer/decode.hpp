// From tokens back to text.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "text/json.hpp"

namespace enfold {

struct Decoder {
  virtual ~Decoder() = default;
  // Rewrites the tokens; the text is what they give when put together.
  virtual void run(std::vector<std::string>& tokens) const = 0;
};
using DecoderPtr = std::shared_ptr<const Decoder>;

// From the "decoder" member of tokenizer.json; null for null.
DecoderPtr make_decoder(const Json& spec);

}  // namespace enfold
