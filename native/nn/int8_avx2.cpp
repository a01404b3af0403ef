// Products in eight bits on AVX2.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <iterator>
#include <limits>
#include <utility>
#include <vector>

#include "nn/int8.hpp"

#if defined(__x86_64__)
#include <immintrin.h>

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma")
#endif

namespace enfold::nn {
namespace {

constexpr size_t kLanes = 8, kRows = 1, kSums = 2;

// Pairs of products of four outputs each: those of bytes alone would saturate.
struct Sums {
  __m256i parts[4];
};
struct Quads {
  __m256i parts[4];
};
using Inputs = __m256i;

inline Quads weight_quads(const int8_t* at) {
  Quads made;
  for (size_t i = 0; i < 4; ++i) made.parts[i] = _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(at) + i));
  return made;
}

inline Inputs input_quad(const uint8_t* at) {
  int32_t four;
  std::memcpy(&four, at, sizeof four);
  return _mm256_broadcastq_epi64(_mm_cvtepu8_epi16(_mm_cvtsi32_si128(four)));
}

inline void add(Sums& sums, const Inputs& inputs, const Quads& quads) {
  for (size_t i = 0; i < 4; ++i) sums.parts[i] = _mm256_add_epi32(sums.parts[i], _mm256_madd_epi16(inputs, quads.parts[i]));
}

inline void store(const Sums& sums, int32_t* at) {
  for (size_t i = 0; i < 2; ++i) {
    __m256i added = _mm256_hadd_epi32(sums.parts[2 * i], sums.parts[2 * i + 1]);  // outputs 0 1 4 5 | 2 3 6 7
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(at + 8 * i), _mm256_permute4x64_epi64(added, 0b11011000));
  }
}

#include "nn/int8_kernel.hpp"

// Of many rows, weights and inputs are widened once for all their products: numbers of 16 bits, two inputs at a time.
constexpr size_t kMany = 6;      // rows by one panel that are summed at a time: 12 of 16 registers
constexpr size_t kBlock = 96;    // rows that a widened panel is multiplied with
constexpr size_t kSlice = 512;   // inputs of a panel that are multiplied at a time: they stay in the first cache
constexpr size_t kApart = 16;    // numbers between widened rows, which else would push each other out

// A panel's outputs in the order in which their pairs lie: those of two registers of four outputs each are brought together.
void widen_panel(const int8_t* panel, size_t depth, int16_t* made) {
  for (size_t i = 0; i < depth; i += 4, panel += 4 * kOutputs, made += 4 * kOutputs) {
    Quads quads = weight_quads(panel);
    for (size_t half = 0; half < 2; ++half) {
      __m256 low = _mm256_castsi256_ps(quads.parts[2 * half]), high = _mm256_castsi256_ps(quads.parts[2 * half + 1]);
      __m256i first = _mm256_castps_si256(_mm256_shuffle_ps(low, high, 0x88)), second = _mm256_castps_si256(_mm256_shuffle_ps(low, high, 0xdd));
      auto* to = reinterpret_cast<__m256i*>(made) + half;
      _mm256_storeu_si256(to, _mm256_permute4x64_epi64(first, 0b11011000));
      _mm256_storeu_si256(to + 2, _mm256_permute4x64_epi64(second, 0b11011000));
    }
  }
}

void widen_row(const uint8_t* row, size_t depth, int16_t* made) {
  for (size_t i = 0; i < depth; i += 16)
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(made + i), _mm256_cvtepu8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(row + i))));
}

// Some rows by a panel's slice: begins the sums, or adds to them.
template <bool Begin, size_t Rows>
void multiply_pairs(const int16_t* x, size_t stride, const int16_t* weight, size_t pairs, int32_t* made) {
  auto* at = reinterpret_cast<__m256i*>(made);
  __m256i sums[Rows][2];
#pragma GCC unroll 6
  for (size_t r = 0; r < Rows; ++r)
    for (size_t half = 0; half < 2; ++half) sums[r][half] = Begin ? _mm256_setzero_si256() : _mm256_loadu_si256(at + 2 * r + half);
  for (size_t i = 0; i < pairs; ++i, weight += 2 * kOutputs) {
    __m256i first = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(weight)), second = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(weight) + 1);
#pragma GCC unroll 6
    for (size_t r = 0; r < Rows; ++r) {
      int32_t pair;
      std::memcpy(&pair, x + r * stride + 2 * i, sizeof pair);
      __m256i inputs = _mm256_set1_epi32(pair);
      sums[r][0] = _mm256_add_epi32(sums[r][0], _mm256_madd_epi16(inputs, first));
      sums[r][1] = _mm256_add_epi32(sums[r][1], _mm256_madd_epi16(inputs, second));
    }
  }
#pragma GCC unroll 6
  for (size_t r = 0; r < Rows; ++r)
    for (size_t half = 0; half < 2; ++half) _mm256_storeu_si256(at + 2 * r + half, sums[r][half]);
}

template <bool Begin, size_t... I>
constexpr auto pairs_by_rows(std::index_sequence<I...>) {
  return std::array{&multiply_pairs<Begin, I + 1>...};
}

void multiply_many(const Product& p, size_t first, size_t last) {
  static constexpr auto kBegin = pairs_by_rows<true>(std::make_index_sequence<kMany>());
  static constexpr auto kAdd = pairs_by_rows<false>(std::make_index_sequence<kMany>());
  static thread_local std::vector<int16_t> memory;
  size_t depth = p.weight.depth, stride = depth + kApart, slices = (depth + kSlice - 1) / kSlice, each = depth / 4 / slices * 4;
  if (memory.size() < kBlock * stride + kOutputs * depth) memory.resize(kBlock * stride + kOutputs * depth);
  int16_t *x = memory.data(), *weight = x + kBlock * stride;
  alignas(64) int32_t sums[kBlock * kOutputs];
  for (size_t row = 0; row < p.x.rows; row += kBlock) {
    size_t rows = std::min(kBlock, p.x.rows - row);
    for (size_t i = 0; i < rows; ++i) widen_row(p.x.bytes + (row + i) * p.x.stride, depth, x + i * stride);
    for (size_t panel = first; panel < last; ++panel) {
      widen_panel(p.weight.panel(panel), depth, weight);
      for (size_t slice = 0; slice < slices; ++slice) {
        size_t from = slice * each, pairs = ((slice + 1 < slices ? from + each : depth) - from) / 2;
        for (size_t i = 0; i < rows; i += kMany) {
          auto multiply_pairs = (slice ? kAdd : kBegin)[std::min(kMany, rows - i) - 1];
          multiply_pairs(x + i * stride + from, stride, weight + from * kOutputs, pairs, sums + i * kOutputs);
        }
      }
      for (size_t i = 0; i < rows; ++i) finish(p, row + i, panel, sums + i * kOutputs);
    }
  }
}

void multiply_any(const Product& p, size_t first, size_t last) { (p.x.rows < kMany ? multiply : multiply_many)(p, first, last); }

}  // namespace

const Int8Kernel* int8_avx2() {
  static constexpr Int8Kernel kernel{"avx2", false, round_row, multiply_any, normalize, rotate, attend};
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
const Int8Kernel* int8_avx2() { return nullptr; }
}  // namespace enfold::nn
#endif
