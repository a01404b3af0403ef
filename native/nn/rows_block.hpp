// A layer of a decoder for a few tokens, each of a text of its own: norms, projections, attention to what is kept, and the gated
// feed-forward, in one call. Single precision; weights where they lie.
#pragma once

#include <cstddef>
#include <cstdint>

#include "nn/rows.hpp"

namespace enfold::nn {

struct RowsLayer {
  const float* weight;  // (out, in)
  const float* bias;    // (out) or null
  size_t in, out;
};

struct RowsNorm {
  const float* weight;
  float eps;
};

struct RowsParts {
  RowsNorm before, between;  // before attention, and before the feed-forward
  RowsLayer query, key, value, output, gate, up, down;
  size_t heads, kept_heads, dim;
  float scale;
};

struct RowsStep {
  const float* x;  // (tokens, width)
  float* made;     // (tokens, width), may be x
  size_t tokens;
  const float *cos, *sin;  // (tokens, half), `angle_step` apart, half or 0; null turns nothing
  size_t angle_step, half;
  float *keys, *values;        // (kept heads, positions, dim), heads `head_step` apart
  size_t row_step, head_step;  // a token's own are row_step after the one's before it; 0 where all share one table
  const int64_t* where;        // (tokens), where each token's are written; null writes all at `position`
  size_t position;
  const uint8_t* mask;  // (tokens, position + 1), `mask_step` apart, 0 hides; null hides nothing
  size_t mask_step;
  const int64_t* starts;  // (tokens + 1), the first run of each; null where mask and position say what is seen
  const Run* runs;
};

class RowsBlock {
 public:
  // Whoever makes it keeps the weights. Throws std::invalid_argument where sizes do not fit together.
  explicit RowsBlock(const RowsParts& parts);
  // `next` follows: the beginning of its first weight is fetched ahead. Null where nothing follows.
  void step(const RowsStep& step, const RowsBlock* next, size_t threads) const;
  size_t width() const { return parts_.output.out; }

 private:
  RowsParts parts_;
  const RowsKernel& kernel_;
};

}  // namespace enfold::nn
