#include "simd.hpp"

#include <algorithm>
#include <cstdlib>
#include <string_view>

namespace enfold {
namespace {

Simd measure() {
  Simd best = Simd::Portable;
#if defined(__x86_64__) && defined(__GNUC__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2")) best = Simd::Avx2;
  if (best == Simd::Avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vbmi"))
    best = Simd::Avx512;
#endif
  const char* setting = std::getenv("ENFOLD_SIMD");
  std::string_view wanted = setting ? setting : "";
  if (wanted == "portable") return Simd::Portable;
  if (wanted == "avx2") return std::min(best, Simd::Avx2);
  return best;
}

}  // namespace

Simd simd() {
  static const Simd chosen = measure();
  return chosen;
}

}  // namespace enfold
