#include "nn/amx.hpp"

#include "simd.hpp"

#if defined(__x86_64__) && defined(__linux__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace enfold::nn {
namespace {

struct Found {
  bool bfloat16 = false, int8 = false;
};

Found ask() {
#if defined(__x86_64__) && defined(__linux__)
  unsigned a = 0, b = 0, c = 0, d = 0, e = 0;
  constexpr unsigned kBfloat16 = 1u << 22, kTiles = 1u << 24, kInt8 = 1u << 25, kVectors = 1u << 5;
  if (simd() != Simd::Avx512 || !__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(d & kTiles)) return {};
  constexpr long kAsk = 0x1023, kTileData = 18;  // ARCH_REQ_XCOMP_PERM of Linux, for the registers' contents
  if (syscall(SYS_arch_prctl, kAsk, kTileData) != 0) return {};
  bool vectors = __get_cpuid_count(7, 1, &a, &b, &c, &e) && (a & kVectors);
  return {(d & kBfloat16) && vectors, (d & kInt8) != 0};
#else
  return {};
#endif
}

}  // namespace

bool has_tiles(TileNumbers numbers) {
  static const Found found = ask();
  return numbers == TileNumbers::Int8 ? found.int8 : found.bfloat16;
}

}  // namespace enfold::nn
