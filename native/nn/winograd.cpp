#include "nn/winograd.hpp"

#include <algorithm>

#include "simd.hpp"
#include "tokenizer/threads.hpp"

namespace enfold::nn {
namespace {

// How many floats, or at least tiles, are transformed at a time: enough to pay for reading the weights, and little enough to
// stay in a cache.
constexpr size_t kFloats = size_t(1) << 20, kTiles = 64;

size_t up(size_t value, size_t step) { return (value + step - 1) / step; }

}  // namespace

const WinogradKernel* winograd_kernel(size_t tile) {
  if (tile != 2 && tile != 4) return nullptr;
#if defined(__x86_64__) && defined(__GNUC__)
  if (!__builtin_cpu_supports("fma")) return nullptr;
#endif
  switch (simd()) {
    case Simd::Avx512: return winograd_avx512(tile);
    case Simd::Avx2: return winograd_avx2(tile);
    default: return nullptr;
  }
}

Winograd::Winograd(const WinogradKernel& kernel, size_t tile, const float* weight, size_t out, size_t in, size_t threads)
    : kernel_(kernel), tile_(tile), out_(out), in_(in), depth_(up(in, kernel.lanes) * kernel.lanes), panels_(up(out, kernel.panel)),
      weights_((tile + 2) * (tile + 2) * panels_ * depth_ * kernel.panel) {
  size_t place = panels_ * depth_ * kernel.panel;
  parallel(panels_, threads, [&](size_t panel) {
    kernel.weights(weight, in, out, panel, weights_.data() + panel * depth_ * kernel.panel, place);
  });
}

void Winograd::apply(const float* x, const Image& image, const float* bias, float* made, size_t threads) const {
  size_t high = up(image.height, tile_), wide = up(image.width, tile_), places = (tile_ + 2) * (tile_ + 2);
  size_t rows = image.count * high, lanes = kernel_.lanes, panel = kernel_.panel, wider = std::max(depth_, panels_ * panel);
  size_t step = std::max<size_t>(1, std::max(kTiles, kFloats / (places * wider)) / wide);
  step = up(rows, up(rows, step));  // strips of almost the same height
  size_t groups = up(in_, lanes), most = step * wide;
  static thread_local Floats first_memory, second_memory;
  float* transformed = at_least(first_memory, places * depth_ * most);
  float* summed = at_least(second_memory, places * panels_ * panel * most);
  for (size_t first = 0; first < rows; first += step) {
    size_t last = std::min(rows, first + step), tiles = (last - first) * wide;
    size_t in_place = depth_ * tiles, out_place = panels_ * panel * tiles;
    parallel(groups, threads, [&](size_t group) {
      static thread_local Floats image_rows;
      kernel_.input({image, in_, first, last}, x, group, transformed + group * lanes * tiles, in_place, image_rows);
    });
    parallel(places * panels_, threads, [&](size_t i) {
      size_t place = i / panels_, column = i % panels_;
      kernel_.multiply(transformed + place * in_place, weights_.data() + i * depth_ * panel, tiles, depth_,
                       summed + place * out_place + column * panel * tiles);
    });
    parallel(up(out_, lanes), threads, [&](size_t group) {
      static thread_local Floats image_rows;
      kernel_.output({image, out_, first, last}, summed + group * lanes * tiles, out_place, bias, group, made, image_rows);
    });
  }
}

}  // namespace enfold::nn
