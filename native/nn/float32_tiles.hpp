// Tiles of products in single precision on AVX2: sixteen rows, brought into order, by six outputs where they lie.
//
// Included by source files whose functions may use AVX2, inside their namespace.

constexpr size_t kLanes = 8;

#include "nn/vector_functions.hpp"

constexpr size_t kPanel = 2 * kLanes;  // rows of a panel
constexpr size_t kOutputs = 6;         // that are summed at a time: with a panel they take 12 of 16 registers
constexpr size_t kBlock = 128;         // rows that are brought into panels at a time
constexpr size_t kLine = 64 / sizeof(float);

inline size_t up(size_t value, size_t step) { return (value + step - 1) / step; }

// What a panel is multiplied with: from one output to the next, and from one input to the next, in floats.
struct Weights {
  const float* at;
  size_t by_output, by_input;
};

// Weights that are multiplied next, and are brought into the second cache meanwhile: these rows of them.
struct Ahead {
  const float* at;
  size_t first, last;
};

// A panel by some outputs; `Begin` or add to sums [output][row], whose outputs lie `apart` floats apart.
template <bool Begin, size_t Outputs>
void tile(const float* x, const Weights& weights, size_t depth, float* made, size_t apart, const Ahead& ahead) {
  Vec sums[Outputs][2] = {};
  if constexpr (!Begin) {
#pragma GCC unroll 6
    for (size_t i = 0; i < Outputs; ++i) sums[i][0] = load(made + i * apart), sums[i][1] = load(made + i * apart + kLanes);
  }
  const float* weight = weights.at;
  size_t by_output = weights.by_output;
  for (size_t k = 0; k < depth; ++k, x += kPanel, weight += weights.by_input) {
    if (k % kLine == 0)
      for (size_t i = ahead.first; i < ahead.last; ++i) _mm_prefetch(reinterpret_cast<const char*>(ahead.at + i * by_output + k), _MM_HINT_T1);
    Vec first = load(x), second = load(x + kLanes);
#pragma GCC unroll 6
    for (size_t i = 0; i < Outputs; ++i) {
      Vec value = Vec(_mm256_broadcast_ss(weight + i * by_output));
      sums[i][0] += value * first;
      sums[i][1] += value * second;
    }
  }
#pragma GCC unroll 6
  for (size_t i = 0; i < Outputs; ++i) store(made + i * apart, sums[i][0]), store(made + i * apart + kLanes, sums[i][1]);
}

using Tile = void (*)(const float*, const Weights&, size_t, float*, size_t, const Ahead&);

template <bool Begin, size_t... I>
constexpr std::array<Tile, kOutputs> tiles_by_size(std::index_sequence<I...>) {
  return {&tile<Begin, I + 1>...};
}

constexpr auto kBegin = tiles_by_size<true>(std::make_index_sequence<kOutputs>());
constexpr auto kAdd = tiles_by_size<false>(std::make_index_sequence<kOutputs>());

// 8 × 8 numbers, mirrored.
inline void transpose(__m256 (&r)[8]) {
  __m256 t[8];
  for (size_t i = 0; i < 8; i += 2) {
    t[i] = _mm256_unpacklo_ps(r[i], r[i + 1]);
    t[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
  }
  for (size_t i = 0; i < 8; i += 4)
    for (size_t j = 0; j < 2; ++j) {
      r[i + 2 * j] = _mm256_shuffle_ps(t[i + j], t[i + j + 2], 0x44);
      r[i + 2 * j + 1] = _mm256_shuffle_ps(t[i + j], t[i + j + 2], 0xee);
    }
  for (size_t i = 0; i < 4; ++i) {
    __m256 low = r[i], high = r[i + 4];
    r[i] = _mm256_permute2f128_ps(low, high, 0x20);
    r[i + 4] = _mm256_permute2f128_ps(low, high, 0x31);
  }
}

// Numbers of a row in single precision: as they are, or in bfloat16.
inline Vec wide(const float* at) { return load(at); }
inline Vec wide(const uint16_t* at) {
  __m256i read = _mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(at)));
  return Vec(_mm256_slli_epi32(read, 16));
}

template <class T>
inline Vec wide(const T* at, size_t count) {
  if (count == kLanes) return wide(at);
  T some[kLanes] = {};
  std::memcpy(some, at, count * sizeof(T));
  return wide(some);
}

// Rows (count, in), `apart` numbers apart, as panels [input][row], zeros behind the last row.
template <class T>
inline void bring(const T* x, size_t apart, size_t count, size_t in, float* made) {
  for (size_t row = 0; row < up(count, kPanel) * kPanel; row += kLanes) {
    size_t some = std::min(kLanes, count - std::min(count, row));
    float* to = made + row / kPanel * kPanel * in + row % kPanel;
    for (size_t k = 0; k < in; k += kLanes) {
      size_t deep = std::min(kLanes, in - k);
      __m256 r[kLanes];
      for (size_t i = 0; i < kLanes; ++i) r[i] = i < some ? __m256(wide(x + (row + i) * apart + k, deep)) : _mm256_setzero_ps();
      transpose(r);
      for (size_t i = 0; i < deep; ++i) _mm256_storeu_ps(to + (k + i) * kPanel, r[i]);
    }
  }
}
