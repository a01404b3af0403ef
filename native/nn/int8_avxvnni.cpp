// Products in eight bits on AVX2 with its own VNNI.
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
#pragma clang attribute push(__attribute__((target("avx2,fma,avxvnni"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma,avxvnni")
#endif

namespace enfold::nn {
namespace {

constexpr size_t kLanes = 8, kRows = 2, kSums = 4;

struct Sums {
  __m256i parts[2];
};
struct Quads {
  __m256i parts[2];
};
using Inputs = __m256i;

inline Quads weight_quads(const int8_t* at) {
  return {{_mm256_loadu_si256(reinterpret_cast<const __m256i*>(at)), _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at + 32))}};
}

inline Inputs input_quad(const uint8_t* at) {
  int32_t four;
  std::memcpy(&four, at, sizeof four);
  return _mm256_set1_epi32(four);
}

inline void add(Sums& sums, const Inputs& inputs, const Quads& quads) {
  sums.parts[0] = _mm256_dpbusd_avx_epi32(sums.parts[0], inputs, quads.parts[0]);
  sums.parts[1] = _mm256_dpbusd_avx_epi32(sums.parts[1], inputs, quads.parts[1]);
}

inline void store(const Sums& sums, int32_t* at) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(at), sums.parts[0]);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(at + 8), sums.parts[1]);
}

#include "nn/int8_kernel.hpp"

}  // namespace

const Int8Kernel* int8_avxvnni() {
  static constexpr Int8Kernel kernel{"avxvnni", false, round_row, multiply, normalize, rotate, attend};
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
const Int8Kernel* int8_avxvnni() { return nullptr; }
}  // namespace enfold::nn
#endif
