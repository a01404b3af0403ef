// Products in eight bits on AVX2.
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

}  // namespace

const Int8Kernel* int8_avx2() {
  static constexpr Int8Kernel kernel{"avx2", false, round_row, multiply, normalize, rotate, attend};
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
