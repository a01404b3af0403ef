// Winograd's convolution on AVX-512.
#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "nn/winograd.hpp"

#if defined(__x86_64__)
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512dq,avx512bw,avx512vl,avx2,fma"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512f,avx512dq,avx512bw,avx512vl,avx2,fma")
#endif

namespace enfold::nn {
namespace {

constexpr size_t kLanes = 16, kRows = 12;

#include "nn/winograd_kernel.hpp"

}  // namespace

const WinogradKernel* winograd_avx512(size_t tile) { return tile == 4 ? &kSteps<4> : &kSteps<2>; }

}  // namespace enfold::nn

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#else
namespace enfold::nn {
const WinogradKernel* winograd_avx512(size_t) { return nullptr; }
}  // namespace enfold::nn
#endif
