// Products of many rows in bfloat16.
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

constexpr size_t kRows = 2 * kTile;                       // of the input at a time
constexpr size_t kHeld = size_t(1280) << 10;              // bytes of pairs that are made at a time: they stay in the second cache
constexpr size_t kSmall = size_t(1) << 20;                // bytes of an input that stays there
constexpr size_t kBeside = size_t(384) << 10;             // bytes of pairs beside such an input, and of the weight that is read ahead
constexpr size_t kSoon = 512;                             // bytes of a weight's row that are read ahead
constexpr size_t kBlock = kRows * kPanel;                 // sums that are made at a time

// One product: an input whose rows are `stride` numbers apart, zero from layer.in up to a multiple of 32.
struct Product {
  const Bfloat16Layer& layer;
  const uint16_t* x;
  size_t rows, stride;
  void* made;  // (rows, out), bfloat16 or float
  size_t depth() const { return (layer.in + kDepth - 1) / kDepth * kDepth; }
  size_t panels() const { return (layer.out + kPanel - 1) / kPanel; }
  // The last panel reaches back, so that it is a whole one too.
  size_t first(size_t panel) const { return std::min(panel * kPanel, layer.out - kPanel); }
};

// What is read ahead while 32 rows and a panel are multiplied: a cache line of each of these rows at each step.
struct Ahead {
  const char* at;
  size_t row, step, first, last;
  void fetch(size_t k) const {
    for (size_t r = first; r < last; ++r) _mm_prefetch(at + r * row + k * step, _MM_HINT_T1);
  }
};

// A panel of a weight, or that share of it.
Ahead ahead_of(const Product& p, size_t panel, size_t part, size_t parts) {
  const Bfloat16Layer& layer = p.layer;
  bool turned = layer.input_first;
  auto* at = reinterpret_cast<const char*>(layer.weight + p.first(panel) * (turned ? 1 : layer.in));
  return {at, (turned ? layer.out : layer.in) * 2, turned ? kDepth * layer.out * 2 : 64, kPanel * part / parts, kPanel * (part + 1) / parts};
}

// Panels of a weight as tiles of pairs, `size` pairs apart: [depth / 32][half of the panel][pair][output].
void pair_panels(const Product& p, size_t from, size_t count, size_t size, uint32_t* made) {
  const Bfloat16Layer& layer = p.layer;
  if (layer.input_first) {  // by the weight's rows, as it lies
    for (size_t k = 0; k < layer.in; k += kDepth, made += 2 * kPairs)
      for (size_t i = 0; i < count; ++i)
        pair_columns(layer.weight + k * layer.out + p.first(from + i), layer.out, kDepth * layer.out, made + i * size, std::min(kDepth, layer.in - k));
    return;
  }
  for (size_t i = 0; i < count; ++i) {
    uint32_t* to = made + i * size;
    for (size_t k = 0; k < layer.in; k += kDepth)
      for (size_t half = 0; half < 2; ++half, to += kPairs) {
        const uint16_t* at = layer.weight + (p.first(from + i) + half * kTile) * layer.in + k;
        __m512i r[16];
        for (size_t j = 0; j < 16; ++j) {
          r[j] = _mm512_loadu_si512(at + j * layer.in);
          _mm_prefetch(reinterpret_cast<const char*>(at + j * layer.in) + kSoon, _MM_HINT_T0);
        }
        transpose(r);
        for (size_t j = 0; j < 16; ++j) _mm512_store_si512(to + j * kTile, r[j]);
      }
  }
}

// 32 × 32 sums that wait for what follows them.
template <Activation Then, bool Wide>
class Waiting {
 public:
  Waiting() = default;
  Waiting(const Product& p, const float* sums, size_t row, size_t first, size_t known)
      : sums_(sums), made_(static_cast<char*>(p.made) + (row * p.layer.out + first) * kSize), stride_(p.layer.out * kSize), row_(0), lanes_(~__mmask32(0) << known) {
    for (size_t half = 0; half < 2; ++half) bias_[half] = p.layer.bias ? widened(p.layer.bias + first + half * kTile) : _mm512_setzero_ps();
  }
  bool any() const { return row_ < kRows; }
  // Writes one row: all but the outputs that the panel before has written.
  void step() {
    const float* from = sums_ + row_ / kTile * 2 * kPairs + row_ % kTile * kTile;
    char* to = made_ + row_++ * stride_;
    Vec low = Vec(_mm512_add_ps(_mm512_load_ps(from), bias_[0])), high = Vec(_mm512_add_ps(_mm512_load_ps(from + kPairs), bias_[1]));
    __m512 first = __m512(activated<Then>(low)), second = __m512(activated<Then>(high));
    if constexpr (Wide) {
      _mm512_mask_storeu_ps(to, __mmask16(lanes_), first);
      _mm512_mask_storeu_ps(to + kTile * kSize, __mmask16(lanes_ >> kTile), second);
    } else {
      _mm512_mask_storeu_epi16(to, lanes_, __m512i(_mm512_cvtne2ps_pbh(second, first)));
    }
  }

 private:
  static constexpr size_t kSize = Wide ? sizeof(float) : sizeof(uint16_t);
  const float* sums_ = nullptr;
  char* made_ = nullptr;
  size_t stride_ = 0, row_ = kRows;
  __mmask32 lanes_ = 0;
  __m512 bias_[2]{};
};

// Panels begin … end. The sums of one block become numbers while the next one is multiplied: tiles and vectors work side by
// side. Tiles of pairs pass by the first cache, so that the rows stay in it.
template <Activation Then, bool Wide>
void multiply_panels(const Product& p, size_t begin, size_t end, Pairs& memory) {
  size_t depth = p.depth(), panel_size = depth * kTile, steps = depth / kDepth;
  bool small = p.rows * p.stride * sizeof(uint16_t) <= kSmall;  // then the weight is what comes from afar, else the input
  size_t most = std::max<size_t>(1, (small ? kBeside : kHeld) / (panel_size * sizeof(uint32_t))), groups = (end - begin + most - 1) / most;
  uint32_t* pairs = at_least(memory, (end - begin + groups - 1) / groups * panel_size);
  size_t each = (kRows + steps - 1) / steps, row_bytes = p.stride * sizeof(uint16_t);
  alignas(64) float sums[2][kBlock];
  size_t turn = 0;
  Waiting<Then, Wide> waiting;
  Tiles tiles;
  for (size_t group = 0; group < groups; ++group) {
    size_t from = begin + (end - begin) * group / groups, count = begin + (end - begin) * (group + 1) / groups - from;
    pair_panels(p, from, count, panel_size, pairs);
    for (size_t row = 0; row < p.rows; row += kRows) {
      size_t here = std::min(row, p.rows - kRows);  // the last rows reach back
      const char* x = reinterpret_cast<const char*>(p.x + here * p.stride);
      bool more = row + kRows < p.rows;
      const char* next = reinterpret_cast<const char*>(p.x + std::min(row + kRows, p.rows - kRows) * p.stride);
      for (size_t i = 0; i < count; ++i) {
        // Each panel fetches its share of the next rows, or its rows' share of a next panel.
        Ahead ahead{next, row_bytes, 64, more ? kRows * i / count : 0, more ? kRows * (i + 1) / count : 0};
        if (small) ahead = ahead_of(p, std::min(from + count + i, end - 1), row / kRows, (p.rows + kRows - 1) / kRows);
        if (small && from + count + i >= end) ahead.last = ahead.first;
        const char* a = x;
        const char* b = reinterpret_cast<const char*>(pairs + i * panel_size);
        _tile_zero(0);
        _tile_zero(1);
        _tile_zero(2);
        _tile_zero(3);
        for (size_t k = 0; k < steps; ++k, a += 64, b += 2048) {
          ahead.fetch(k);
          _tile_loadd(4, a, row_bytes);
          _tile_stream_loadd(6, b, 64);
          _tile_stream_loadd(7, b + 1024, 64);
          _tile_loadd(5, a + kTile * row_bytes, row_bytes);
          _tile_dpbf16ps(0, 4, 6);
          _tile_dpbf16ps(1, 4, 7);
          _tile_dpbf16ps(2, 5, 6);
          _tile_dpbf16ps(3, 5, 7);
          for (size_t r = 0; r < each && waiting.any(); ++r) waiting.step();
        }
        while (waiting.any()) waiting.step();
        float* made = sums[turn ^= 1];
        _tile_stored(0, made, 64);
        _tile_stored(1, made + kPairs, 64);
        _tile_stored(2, made + 2 * kPairs, 64);
        _tile_stored(3, made + 3 * kPairs, 64);
        size_t first = p.first(from + i);
        waiting = {p, made, here, first, (from + i) * kPanel - first};
      }
    }
  }
  while (waiting.any()) waiting.step();
}

using Panels = void (*)(const Product&, size_t, size_t, Pairs&);

void share(const Product& p, Panels multiply_panels, size_t threads) {
  size_t panels = p.panels(), tasks = std::max<size_t>(1, std::min(panels, threads));
  parallel(tasks, threads, [&](size_t task) {
    static thread_local Pairs memory;
    multiply_panels(p, panels * task / tasks, panels * (task + 1) / tasks, memory);
  });
}

// 32 columns of a (rows, width), as rows of `stride` numbers, filled up with zeros to a multiple of 32; and their sums.
void transpose_columns(const uint16_t* a, size_t rows, size_t width, size_t stride, uint32_t* made, float* sums) {
  alignas(64) uint32_t pairs[2 * kPairs];
  __m512 low = _mm512_setzero_ps(), high = low;
  for (size_t k = 0; k < rows; k += kDepth) {
    size_t here = std::min(kDepth, rows - k);
    pair_columns(a + k * width, width, 0, pairs, here);
    for (size_t i = 0; sums && i < here; ++i) {
      low = _mm512_add_ps(low, widened(a + (k + i) * width));
      high = _mm512_add_ps(high, widened(a + (k + i) * width + kTile));
    }
    for (size_t half = 0; half < 2; ++half) {
      __m512i r[16];
      for (size_t i = 0; i < 16; ++i) r[i] = _mm512_load_si512(pairs + half * kPairs + i * kTile);
      transpose(r);
      for (size_t i = 0; i < 16; ++i) _mm512_storeu_si512(made + ((half * kTile + i) * stride + k) / 2, r[i]);
    }
  }
  if (!sums) return;
  _mm512_storeu_ps(sums, low);
  _mm512_storeu_ps(sums + kTile, high);
}

}  // namespace

void many_rows(const Bfloat16Layer& layer, const uint16_t* x, size_t rows, Activation then, uint16_t* made, size_t threads) {
  Product p{layer, x, rows, layer.in, made};
  switch (then) {
    case Activation::None: return share(p, multiply_panels<Activation::None, false>, threads);
    case Activation::Gelu: return share(p, multiply_panels<Activation::Gelu, false>, threads);
    case Activation::TanhGelu: return share(p, multiply_panels<Activation::TanhGelu, false>, threads);
    case Activation::Relu: return share(p, multiply_panels<Activation::Relu, false>, threads);
    case Activation::Silu: return share(p, multiply_panels<Activation::Silu, false>, threads);
    case Activation::Tanh: return share(p, multiply_panels<Activation::Tanh, false>, threads);
  }
}

void multiply_transposed(const uint16_t* a, const uint16_t* b, size_t rows, size_t left, size_t right, float* made, float* sums, size_t threads) {
  static thread_local Pairs memory;
  // An odd number of cache lines from row to row, so that the rows of a tile do not push each other out.
  size_t depth = (rows + kDepth - 1) / kDepth * kDepth, stride = depth / kDepth % 2 ? depth : depth + kDepth;
  uint32_t* turned = at_least(memory, left * stride / 2);
  size_t panels = left / kPanel, tasks = std::max<size_t>(1, std::min(panels, threads));
  parallel(tasks, threads, [&](size_t task) {
    for (size_t i = panels * task / tasks; i < panels * (task + 1) / tasks; ++i)
      transpose_columns(a + i * kPanel, rows, left, stride, turned + i * kPanel * stride / 2, sums ? sums + i * kPanel : nullptr);
  });
  Bfloat16Layer layer{b, nullptr, rows, right, true};
  share({layer, reinterpret_cast<const uint16_t*>(turned), left, stride, made}, multiply_panels<Activation::None, true>, threads);
}

}  // namespace enfold::nn

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#else
namespace enfold::nn {
void many_rows(const Bfloat16Layer&, const uint16_t*, size_t, Activation, uint16_t*, size_t) {}
void multiply_transposed(const uint16_t*, const uint16_t*, size_t, size_t, size_t, float*, float*, size_t) {}
}  // namespace enfold::nn
#endif
