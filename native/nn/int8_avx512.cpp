// Products in eight bits on AVX-512 with VNNI.
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
#pragma clang attribute push(__attribute__((target("avx512f,avx512dq,avx512bw,avx512vl,avx512vnni,avx2,fma"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512f,avx512dq,avx512bw,avx512vl,avx512vnni,avx2,fma")
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

}  // namespace

const Int8Kernel* int8_avx512() {
  static constexpr Int8Kernel kernel{"avx512", false, round_row, multiply, normalize, rotate, attend};
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
const Int8Kernel* int8_avx512() { return nullptr; }
}  // namespace enfold::nn
#endif
