// What products in bfloat16 on AMX share: tiles of pairs, and what follows the sums.
//
// Included by source files whose functions may use AMX and AVX-512, inside their namespace.

constexpr size_t kLanes = 16;
constexpr size_t kTile = 16, kPanel = 32, kDepth = 32;  // rows of a tile; outputs at a time; numbers in a tile's row
constexpr size_t kPairs = kTile * kTile;                // pairs of numbers in a tile

#include "nn/amx_tiles.hpp"
#include "nn/vector_functions.hpp"

inline __m512 activated(__m512 x, Activation then) {
  switch (then) {
    case Activation::Gelu: return __m512(activated<Activation::Gelu>(Vec(x)));
    case Activation::TanhGelu: return __m512(activated<Activation::TanhGelu>(Vec(x)));
    case Activation::Relu: return __m512(activated<Activation::Relu>(Vec(x)));
    case Activation::Silu: return __m512(activated<Activation::Silu>(Vec(x)));
    case Activation::Tanh: return __m512(activated<Activation::Tanh>(Vec(x)));
    default: return x;
  }
}

// 16 numbers in single precision.
inline __m512 widened(const uint16_t* at) {
  __m256i read = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at));
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(read), 16));
}

// 16 × 16 numbers of 32 bits, mirrored.
inline void transpose(__m512i (&r)[16]) {
  __m512i t[16];
  for (size_t i = 0; i < 16; i += 2) {
    t[i] = _mm512_unpacklo_epi32(r[i], r[i + 1]);
    t[i + 1] = _mm512_unpackhi_epi32(r[i], r[i + 1]);
  }
  for (size_t i = 0; i < 16; i += 4) {
    r[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
    r[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
    r[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
    r[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
  }
  for (size_t i = 0; i < 4; ++i) {
    t[i] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0x88);
    t[i + 4] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0xdd);
    t[i + 8] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0x88);
    t[i + 12] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0xdd);
  }
  for (size_t i = 0; i < 4; ++i) {
    r[i] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0x88);
    r[i + 4] = _mm512_shuffle_i32x4(t[i + 4], t[i + 12], 0x88);
    r[i + 8] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0xdd);
    r[i + 12] = _mm512_shuffle_i32x4(t[i + 4], t[i + 12], 0xdd);
  }
}

using Pairs = std::vector<uint32_t, LargeAllocator<uint32_t>>;

inline uint32_t* at_least(Pairs& memory, size_t size) {
  if (memory.size() < size) {
    memory.clear();  // nothing is copied
    memory.resize(size);
  }
  return memory.data();
}

// A tile's depth of 32 outputs of an (in, out) weight, as two tiles of pairs; reads what is `ahead` outputs further too.
// Rows from `depth` on are zero.
inline void pair_columns(const uint16_t* weight, size_t out, size_t ahead, uint32_t* made, size_t depth = kDepth) {
  static constexpr auto kOrder = [] {
    std::array<uint16_t, 64> made{};
    for (uint16_t i = 0; i < 32; ++i) {
      made[i] = uint16_t(i / 2 + i % 2 * 32);
      made[i + 32] = uint16_t(made[i] + 16);
    }
    return made;
  }();
  const __m512i low = _mm512_loadu_si512(kOrder.data()), high = _mm512_loadu_si512(kOrder.data() + 32);
  for (size_t pair = 0; pair < kTile; ++pair, weight += 2 * out, made += kTile) {
    __m512i first = _mm512_setzero_si512(), second = first;
    if (2 * pair < depth) first = _mm512_loadu_si512(weight);
    if (2 * pair + 1 < depth) second = _mm512_loadu_si512(weight + out);
    _mm_prefetch(reinterpret_cast<const char*>(weight + ahead), _MM_HINT_T0);
    _mm_prefetch(reinterpret_cast<const char*>(weight + out + ahead), _MM_HINT_T0);
    _mm512_storeu_si512(made, _mm512_permutex2var_epi16(first, low, second));
    _mm512_storeu_si512(made + kPairs, _mm512_permutex2var_epi16(first, high, second));
  }
}
