// From tokens back to text.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "text/json.hpp"

namespace enfold {

struct Decoder {
  virtual ~Decoder() = default;
  // Rewrites the tokens; the text is what they give when put together.
  virtual void run(std::vector<std::string>& tokens) const = 0;
  // Whether it does nothing but turn visible characters back into bytes: then append_bytes on every token does the same.
  virtual bool byte_level() const { return false; }
};

// Appends the bytes that a token's visible characters stand for; a token that is not written in them as it is.
void append_bytes(std::string_view token, std::string& out);
using DecoderPtr = std::shared_ptr<const Decoder>;

// From the "decoder" member of tokenizer.json; null for null.
DecoderPtr make_decoder(const Json& spec);

}  // namespace enfold
