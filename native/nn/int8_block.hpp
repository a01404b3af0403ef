// One token a row through a layer of a decoder whose weights are in eight bits: norms, projections, attention to what is kept,
// and the feed-forward, in one call. An input is rounded once for all that read it.
#pragma once

#include <optional>
#include <vector>

#include "nn/int8.hpp"

namespace enfold::nn {

struct Layer {
  const Int8Weight* weight;
  const float* bias;
};

struct BlockParts {
  Norm before, between;       // before attention, and before the feed-forward
  std::vector<Layer> inputs;  // to queries, keys and values, one after another; one layer, or three
  Layer output;
  std::optional<Layer> gate;  // the activation is that of the gate where there is one
  Layer up, down;
  Activation after;
  size_t heads, kept_heads, dim;
  float scale;
};

struct Step {
  const float* x;  // (rows, width)
  float* made;     // (rows, width), may be x
  size_t rows;
  const float *cos, *sin;  // (rows, half), `angle_step` apart; or null
  size_t angle_step, half;
  float *keys, *values;                   // of row 0, head 0, position 0; the new ones are written at `position`
  size_t row_step, head_step, token_step;  // between rows, heads and positions
  size_t position;
  const uint8_t* mask;  // (rows, position + 1), `mask_step` apart, 0 hides; or null
  size_t mask_step;
};

class Int8Block {
 public:
  // Whoever makes it keeps the weights. Throws std::invalid_argument where sizes do not fit together.
  explicit Int8Block(BlockParts parts);
  void step(const Step& step, size_t threads) const;
  size_t width() const { return width_; }

 private:
  BlockParts parts_;
  const Int8Kernel& kernel_;
  size_t width_, inner_;
};

}  // namespace enfold::nn
