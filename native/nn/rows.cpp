#include "nn/rows.hpp"

#include "simd.hpp"

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

}  // namespace enfold::nn
