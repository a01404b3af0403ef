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
  // What a whole text can be put together from. PerToken: every token becomes one, by nothing but itself and whether it
  // is the first or the last. Join: puts them together. Bytes: turns visible characters back into bytes and joins them.
  // Fallback: joins the bytes that tokens like <0x0A> stand for. Other: only running it tells.
  enum Kind { PerToken, Join, Bytes, Fallback, Other };
  virtual Kind kind() const { return Other; }
  // For PerToken: whether the first or the last token comes out in another way.
  virtual bool sees_first() const { return false; }
  virtual bool sees_last() const { return false; }
  // The parts of a sequence in order; empty for all else.
  virtual std::vector<const Decoder*> parts() const { return {}; }
};

// Appends the bytes that a token's visible characters stand for; a token that is not written in them as it is.
void append_bytes(std::string_view token, std::string& out);
// The byte that a token like <0x0A> stands for, or -1.
int fallback_byte(std::string_view token);
using DecoderPtr = std::shared_ptr<const Decoder>;

// From the "decoder" member of tokenizer.json; null for null.
DecoderPtr make_decoder(const Json& spec);

}  // namespace enfold
