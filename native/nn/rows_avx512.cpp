// Few tokens at a time on AVX-512.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <utility>
#include <vector>

#include "nn/rows.hpp"

#if defined(__x86_64__)
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512dq,avx512bw,avx512vl,avx2,fma"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512f,avx512dq,avx512bw,avx512vl,avx2,fma")
#endif

namespace enfold::nn {
namespace {

constexpr size_t kLanes = 16, kColumns = 4, kRows = 6;

#include "nn/rows_kernel.hpp"

}  // namespace

const RowsKernel* rows_avx512() { return &kSteps; }

}  // namespace enfold::nn

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#else
namespace enfold::nn {
const RowsKernel* rows_avx512() { return nullptr; }
}  // namespace enfold::nn
#endif
