// Products in eight bits on AMX, few rows on AVX-512 with VNNI.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <iterator>
#include <limits>
#include <utility>

#include "nn/int8.hpp"

#if defined(__x86_64__)
#include <immintrin.h>

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512dq,avx512bw,avx512vl,avx512vnni,avx2,fma,amx-tile,amx-int8"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512f,avx512dq,avx512bw,avx512vl,avx512vnni,avx2,fma,amx-tile,amx-int8")
#endif

namespace enfold::nn {
namespace {

constexpr size_t kLanes = 16, kRows = kFew, kSums = 24;

using Sums = __m512i;
using Quads = __m512i;
using Inputs = __m512i;

inline Quads weight_quads(const int8_t* at) { return _mm512_loadu_si512(at); }

inline Inputs input_quad(const uint8_t* at) {
  int32_t four;
  std::memcpy(&four, at, sizeof four);
  return _mm512_set1_epi32(four);
}

inline void add(Sums& sums, const Inputs& inputs, const Quads& quads) { sums = _mm512_dpbusd_epi32(sums, inputs, quads); }

inline void store(const Sums& sums, int32_t* at) { _mm512_storeu_si512(at, sums); }

#include "nn/int8_kernel.hpp"

#include "nn/amx_tiles.hpp"

// Rows and panels by twos are four tiles of sums.
template <bool TwoRows, bool TwoPanels>
void multiply_tiles(const Product& p, size_t row, size_t panel) {
  size_t depth = p.weight.depth, bytes = p.weight.apart(), stride = p.x.stride;
  const uint8_t* x = p.x.bytes + row * stride;
  const int8_t* weight = p.weight.panel(panel);
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  for (size_t i = 0; i < depth; i += kDeep, x += kDeep, weight += kDeep * kOutputs) {
    _tile_loadd(6, weight, 64);
    _tile_loadd(4, x, stride);
    _tile_dpbusd(0, 4, 6);
    if constexpr (TwoPanels) {
      _tile_loadd(7, weight + bytes, 64);
      _tile_dpbusd(1, 4, 7);
    }
    if constexpr (TwoRows) {
      _tile_loadd(5, x + 16 * stride, stride);
      _tile_dpbusd(2, 5, 6);
      if constexpr (TwoPanels) _tile_dpbusd(3, 5, 7);
    }
  }
  alignas(64) int32_t sums[4][16][kOutputs];
  _tile_stored(0, sums[0], 64);
  if constexpr (TwoPanels) _tile_stored(1, sums[1], 64);
  if constexpr (TwoRows) _tile_stored(2, sums[2], 64);
  if constexpr (TwoRows && TwoPanels) _tile_stored(3, sums[3], 64);
  for (size_t half = 0; half <= TwoRows; ++half)
    for (size_t i = 0; i < std::min<size_t>(16, p.x.rows - row - 16 * half); ++i)
      for (size_t j = 0; j <= TwoPanels; ++j) finish(p, row + 16 * half + i, panel + j, sums[2 * half + j][i]);
}

inline void multiply_many(const Product& p, size_t first, size_t last) {
  if (p.x.rows <= kFew) return multiply(p, first, last);
  Tiles tiles;
  for (size_t panel = first; panel < last; panel += 2) {
    bool both = panel + 1 < last;
    for (size_t row = 0; row < p.x.rows; row += 32) {
      if (row + 16 < p.x.rows) both ? multiply_tiles<true, true>(p, row, panel) : multiply_tiles<true, false>(p, row, panel);
      else both ? multiply_tiles<false, true>(p, row, panel) : multiply_tiles<false, false>(p, row, panel);
    }
  }
}

}  // namespace

const Int8Kernel* int8_amx() {
  static constexpr Int8Kernel kernel{"amx", true, round_row, multiply_many, normalize, rotate, attend};
  return &kernel;
}

}  // namespace enfold::nn

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#else
namespace enfold::nn {
const Int8Kernel* int8_amx() { return nullptr; }
}  // namespace enfold::nn
#endif
