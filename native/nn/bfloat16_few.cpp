// Products of few rows in bfloat16.
#include "nn/bfloat16.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <iterator>
#include <limits>
#include <vector>

#include "large_pages.hpp"
#include "tokenizer/threads.hpp"

#if defined(__x86_64__) && defined(__linux__) && (defined(__clang__) || __GNUC__ >= 11)
#include <immintrin.h>

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("amx-tile,amx-bf16,avx512f,avx512dq,avx512bw,avx512vl,avx512bf16,avx2,fma"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("amx-tile,amx-bf16,avx512f,avx512dq,avx512bw,avx512vl,avx512bf16,avx2,fma")
#endif

namespace enfold::nn {
namespace {

#include "nn/bfloat16_pairs.hpp"

constexpr size_t kAhead = 128;                            // outputs of an (in, out) weight that are read ahead
constexpr size_t kFew = 4;                               // columns of tiles from which on a panel is copied
constexpr size_t kHeld = size_t(1) << 20;               // bytes of pairs that are made at a time: they stay in the second cache

// Rows of x, up to 16, as tiles of pairs, one after another: [block][pair][row]. Rows that are missing are zero.
void pair_rows(const uint16_t* x, size_t rows, size_t in, uint32_t* made) {
  for (size_t k = 0; k < in; k += kDepth, made += kPairs) {
    __m512i r[16];
    for (size_t i = 0; i < 16; ++i) r[i] = i < rows ? _mm512_loadu_si512(x + i * in + k) : _mm512_setzero_si512();
    transpose(r);
    for (size_t i = 0; i < 16; ++i) _mm512_storeu_si512(made + i * kTile, r[i]);
  }
}

// 32 rows of a weight, as tiles: where a row of theirs begins from the last one, a tile from the last one, and the next pair.
struct Panel {
  const char* tiles;
  size_t row, tile, block;
};

// The same, copied so that all of a tile lies together: [block][tile][row].
Panel gathered(const uint16_t* weight, size_t in, uint32_t* made) {
  char* at = reinterpret_cast<char*>(made);
  for (size_t k = 0; k < in; k += kDepth)
    for (size_t i = 0; i < kPanel; ++i, at += 64) _mm512_storeu_si512(at, _mm512_loadu_si512(weight + i * in + k));
  return {reinterpret_cast<const char*>(made), 64, 1024, 2048};
}

// A panel with one column of tiles of pairs, or with two that are `beside` pairs apart: (32, in) × (in, 16 or 32), into
// sums[tile][column]. ahead: by how many bytes what is read next follows, or 0.
template <bool Two>
void multiply(Panel a, const uint32_t* b, size_t beside, size_t in, size_t ahead, float (&sums)[2][2][kPairs]) {
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  for (size_t k = 0; k < in; k += kDepth, a.tiles += a.block, b += kPairs) {
    if (ahead)
      for (size_t i = 0; i < 32; ++i) _mm_prefetch(a.tiles + ahead + i * a.row, _MM_HINT_T1);
    _tile_loadd(4, a.tiles, a.row);
    _tile_loadd(5, a.tiles + a.tile, a.row);
    _tile_loadd(6, b, 64);
    if constexpr (Two) _tile_loadd(7, b + beside, 64);
    _tile_dpbf16ps(0, 4, 6);
    if constexpr (Two) _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(2, 5, 6);
    if constexpr (Two) _tile_dpbf16ps(3, 5, 7);
  }
  _tile_stored(0, sums[0][0], 64);
  _tile_stored(2, sums[1][0], 64);
  if constexpr (Two) {
    _tile_stored(1, sums[0][1], 64);
    _tile_stored(3, sums[1][1], 64);
  }
}

// What follows the sums of 32 outputs.
class Finish {
 public:
  Finish(const Bfloat16Layer& layer, size_t first, Activation then, size_t known)
      : then_(then), lanes_(~__mmask32(0) << known) {
    for (size_t half = 0; half < 2; ++half) bias_[half] = layer.bias ? widened(layer.bias + first + half * kTile) : _mm512_setzero_ps();
  }
  // One row: all but its first `known` outputs, which another call writes.
  void write(__m512 low, __m512 high, uint16_t* made) const {
    low = activated(_mm512_add_ps(low, bias_[0]), then_);
    high = activated(_mm512_add_ps(high, bias_[1]), then_);
    _mm512_mask_storeu_epi16(made, lanes_, __m512i(_mm512_cvtne2ps_pbh(high, low)));
  }

 private:
  __m512 bias_[2];
  Activation then_;
  __mmask32 lanes_;
};

// An (out, in) weight: its rows are tiles, the input is made of pairs.
void output_first(const Bfloat16Layer& layer, const uint16_t* x, size_t rows, Activation then, uint16_t* made, size_t threads) {
  static thread_local Pairs memory;
  size_t in = layer.in, out = layer.out, column = in * kTile / 2, panels = (out + kPanel - 1) / kPanel;
  size_t step = std::max<size_t>(2, kHeld / (column * sizeof(uint32_t)) / 2 * 2) * kTile;
  for (size_t begin = 0; begin < rows; begin += step) {
    size_t count = std::min(step, rows - begin), columns = (count + kTile - 1) / kTile;
    uint32_t* pairs = at_least(memory, columns * column);
    parallel(columns, columns > 1 ? threads : 1, [&](size_t i) {
      pair_rows(x + (begin + i * kTile) * in, std::min(kTile, count - i * kTile), in, pairs + i * column);
    });
    size_t tasks = threads > 1 ? std::min(panels, threads * 4) : 1;
    parallel(tasks, threads, [&](size_t task) {
      static thread_local Pairs own;
      Tiles tiles;
      alignas(64) float sums[2][2][kPairs];
      for (size_t panel = panels * task / tasks, end = panels * (task + 1) / tasks; panel < end; ++panel) {
        size_t first = std::min(panel * kPanel, out - kPanel);
        Finish finish(layer, first, then, panel * kPanel - first);
        const uint16_t* weight = layer.weight + first * in;
        Panel a{reinterpret_cast<const char*>(weight), in * 2, in * 2 * kTile, 64};
        size_t ahead = (panel + 2) * kPanel <= out ? in * 2 * kPanel : 0;
        if (columns > kFew) a = gathered(weight, in, at_least(own, 2 * column)), ahead = 0;
        for (size_t i = 0; i < columns; i += 2, ahead = 0) {
          const uint32_t* b = pairs + i * column;
          bool two = i + 1 < columns;
          (two ? multiply<true> : multiply<false>)(a, b, column, in, ahead, sums);
          for (size_t j = 0; j < (two ? 2 : 1); ++j) {
            __m512i low[16], high[16];
            for (size_t k = 0; k < 16; ++k) low[k] = _mm512_load_si512(sums[0][j] + k * kTile), high[k] = _mm512_load_si512(sums[1][j] + k * kTile);
            transpose(low);
            transpose(high);
            size_t row = begin + (i + j) * kTile, here = std::min(kTile, rows - row);
            for (size_t k = 0; k < here; ++k)
              finish.write(_mm512_castsi512_ps(low[k]), _mm512_castsi512_ps(high[k]), made + (row + k) * out + first);
          }
        }
      }
    });
  }
}

// An (in, out) weight, whose rows are read one after another as far as a tile is deep: the input's rows are tiles here, the
// weight is made of pairs, and sums wait in the second cache. Up to 32 rows.
void input_first(const Bfloat16Layer& layer, const uint16_t* x, size_t rows, Activation then, uint16_t* made, size_t threads) {
  static thread_local std::vector<uint16_t> memory;  // x, and rows of zeros
  size_t in = layer.in, out = layer.out, panels = out / kPanel, tiles_down = (rows + kTile - 1) / kTile;
  memory.assign(tiles_down * kTile * in, 0);
  std::copy(x, x + rows * in, memory.begin());
  const uint16_t* padded = memory.data();
  size_t tasks = threads > 1 ? std::min(panels, threads) : 1;
  parallel(tasks, threads, [&](size_t task) {
    static thread_local Pairs waiting;
    size_t begin = panels * task / tasks, end = panels * (task + 1) / tasks, size = tiles_down * 2 * kPairs;
    auto* sums = reinterpret_cast<float*>(at_least(waiting, (end - begin) * size));
    std::fill(sums, sums + (end - begin) * size, 0.0f);
    alignas(64) uint32_t pairs[2 * kPairs];
    Tiles tiles;
    for (size_t k = 0; k < in; k += kDepth)
      for (size_t panel = begin; panel < end; ++panel) {
        size_t ahead = std::min(kAhead, (end - panel - 1) * kPanel);
        pair_columns(layer.weight + k * out + panel * kPanel, out, ahead, pairs);
        _tile_loadd(6, pairs, 64);
        _tile_loadd(7, pairs + kPairs, 64);
        float* sum = sums + (panel - begin) * size;
        for (size_t i = 0; i < tiles_down; ++i, sum += 2 * kPairs) {
          _tile_loadd(4, padded + i * kTile * in + k, in * 2);
          _tile_loadd(0, sum, 64);
          _tile_dpbf16ps(0, 4, 6);
          _tile_stored(0, sum, 64);
          _tile_loadd(1, sum + kPairs, 64);
          _tile_dpbf16ps(1, 4, 7);
          _tile_stored(1, sum + kPairs, 64);
        }
      }
    for (size_t panel = begin; panel < end; ++panel) {
      Finish finish(layer, panel * kPanel, then, 0);
      const float* sum = sums + (panel - begin) * size;
      for (size_t row = 0; row < rows; ++row) {
        const float* at = sum + row / kTile * 2 * kPairs + row % kTile * kTile;
        finish.write(_mm512_loadu_ps(at), _mm512_loadu_ps(at + kPairs), made + row * out + panel * kPanel);
      }
    }
  });
}

}  // namespace

void few_rows(const Bfloat16Layer& layer, const uint16_t* x, size_t rows, Activation then, uint16_t* made, size_t threads) {
  (layer.input_first ? input_first : output_first)(layer, x, rows, then, made, threads);
}

}  // namespace enfold::nn

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#else
namespace enfold::nn {
void few_rows(const Bfloat16Layer&, const uint16_t*, size_t, Activation, uint16_t*, size_t) {}
}  // namespace enfold::nn
#endif
