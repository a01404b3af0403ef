// Convolutions of 3 × 3 with fewer products (Winograd's minimal filtering; Lavin & Gray, arXiv 1509.09308).
//
// A tile of M × M results is made of (M + 2)² products instead of 9 M²: a quarter of them for M = 4, four ninths for M = 2.
// Input and weight are transformed, multiplied place by place of the tile, and the sum over channels is transformed back.
// Stride 1, zeros of width 1 around the image; single precision.
#pragma once

#include <cstddef>

#include "nn/floats.hpp"
#include "nn/lent.hpp"

namespace enfold::nn {

struct Image {
  size_t count, height, width;
};

// A part of a batch: rows of tiles, counted over all images.
struct Strip {
  const Image& image;
  size_t channels, first, last;
};

// What the instruction sets differ in. Channels lie in groups of `lanes`, those of results also in panels of `panel`.
//
// transformed: [place][group][tile][lane]; weights: [place][panel][channel][lane of panel].
struct WinogradKernel {
  size_t lanes, panel;
  // The weights of one panel: (out, in, 3, 3) to `made`, which points to the panel of the first place.
  void (*weights)(const float* weight, size_t in, size_t out, size_t panel, float* made, size_t place);
  // One group of channels of a strip; `place`: from one place of the tile to the next.
  void (*input)(const Strip& strip, const float* x, size_t group, float* made, size_t place, Floats& scratch);
  // One panel of one place: (tiles, depth) × (depth, panel).
  void (*multiply)(const float* x, const float* weights, size_t tiles, size_t depth, float* made);
  // One group of channels of the result.
  void (*output)(const Strip& strip, const float* summed, size_t place, const float* bias, size_t group, float* made, Floats& scratch);
};

// For tiles of 2 × 2 or 4 × 4; null where the processor lacks the instructions.
const WinogradKernel* winograd_kernel(size_t tile);
const WinogradKernel* winograd_avx2(size_t tile);
const WinogradKernel* winograd_avx512(size_t tile);

// A weight, transformed.
class Winograd {
 public:
  // weight: (out, in, 3, 3).
  Winograd(const WinogradKernel& kernel, size_t tile, const float* weight, size_t out, size_t in, size_t threads);
  // x: (count, in, height, width); bias: (out) or null; made: (count, out, height, width).
  void apply(const float* x, const Image& image, const float* bias, float* made, size_t threads) const;
  size_t in() const { return in_; }
  size_t out() const { return out_; }
  size_t bytes() const { return weights_.size() * sizeof(float); }

 private:
  const WinogradKernel& kernel_;
  size_t tile_, out_, in_, depth_, panels_;
  LentFloats weights_;
};

}  // namespace enfold::nn
