#include "nn/rows.hpp"

#include <algorithm>

#include "simd.hpp"
#include "tokenizer/threads.hpp"

namespace enfold::nn {

const RowsKernel* rows_kernel() {
#if defined(__x86_64__) && defined(__GNUC__)
  if (!__builtin_cpu_supports("fma")) return nullptr;
#endif
  switch (simd()) {
    case Simd::Avx512: return rows_avx512();
    case Simd::Avx2: return rows_avx2();
    default: return nullptr;
  }
}

void multiply_rows(const RowsKernel& kernel, const RowsProduct& product, size_t threads) {
  size_t out = product.out;
  if (!product.rows || !out) return;
  // A few pieces for each thread; few enough that their beginnings cost nothing.
  size_t pieces = threads < 2 ? 1 : std::min(out / 48 + 1, threads * 4), each = (out + pieces - 1) / pieces;
  each = (each + 11) / 12 * 12;
  if (pieces == 1) return kernel.multiply(product, 0, out);
  parallel(pieces, threads, [&](size_t i) {
    size_t first = std::min(out, i * each), last = std::min(out, first + each);
    if (first < last) kernel.multiply(product, first, last);
  });
}

}  // namespace enfold::nn
