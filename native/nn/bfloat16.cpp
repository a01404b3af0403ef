#include "nn/bfloat16.hpp"

#include <algorithm>
#include <array>
#include <limits>
#include <vector>

#include "large_pages.hpp"
#include "simd.hpp"
#include "tokenizer/threads.hpp"

#if defined(__x86_64__) && defined(__linux__) && (defined(__clang__) || __GNUC__ >= 11)
#include <cpuid.h>
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("amx-tile,amx-bf16,avx512f,avx512dq,avx512bw,avx512vl,avx512bf16,avx2,fma"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("amx-tile,amx-bf16,avx512f,avx512dq,avx512bw,avx512vl,avx512bf16,avx2,fma")
#endif

namespace enfold::nn {
namespace {

constexpr size_t kTile = 16, kPanel = 32, kDepth = 32;  // rows of a tile; outputs at a time; numbers in a tile's row
constexpr size_t kPairs = kTile * kTile;                // pairs of numbers in a tile
constexpr size_t kAhead = 128;                            // outputs of an (in, out) weight that are read ahead
constexpr size_t kFew = 4;                               // columns of tiles from which on a panel is copied
constexpr size_t kHeld = size_t(1) << 20;               // bytes of pairs that are made at a time: they stay in the second cache

struct alignas(64) Palette {
  uint8_t palette = 1, start = 0, reserved[14] = {};
  uint16_t bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};

// The tile registers, all of full size, while it lives.
class Tiles {
 public:
  Tiles() {
    static constexpr Palette kFull;  // in memory for good: compilers know only of the first bytes that are read here
    _tile_loadconfig(&kFull);
  }
  ~Tiles() { _tile_release(); }
  Tiles(const Tiles&) = delete;
  Tiles& operator=(const Tiles&) = delete;
};

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

// e^x to single precision (Cody and Waite's reduction, and a polynomial of degree 6).
inline __m512 exp(__m512 x) {
  const __m512 most = _mm512_set1_ps(88.5f);
  __m512 near = _mm512_min_ps(most, _mm512_max_ps(_mm512_set1_ps(-87.0f), x));  // in this order NaN stays
  __m512 n = _mm512_roundscale_ps(_mm512_mul_ps(near, _mm512_set1_ps(1.44269504f)), 8);
  __m512 r = _mm512_fnmadd_ps(n, _mm512_set1_ps(0.693359375f), near);
  r = _mm512_fnmadd_ps(n, _mm512_set1_ps(-2.12194440e-4f), r);
  __m512 p = _mm512_set1_ps(1.0f / 720);
  for (float factor : {1.0f / 120, 1.0f / 24, 1.0f / 6, 0.5f, 1.0f, 1.0f}) p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(factor));
  __mmask16 beyond = _mm512_cmp_ps_mask(x, most, _CMP_GT_OQ);
  return _mm512_mask_mov_ps(_mm512_scalef_ps(p, n), beyond, _mm512_set1_ps(std::numeric_limits<float>::infinity()));
}

inline __m512 sigmoid(__m512 x) {
  const __m512 one = _mm512_set1_ps(1.0f);
  return _mm512_div_ps(one, _mm512_add_ps(one, exp(_mm512_sub_ps(_mm512_setzero_ps(), x))));
}

// x Φ(x), the error function after Abramowitz and Stegun, 7.1.26: 1.5e-7 of 1 away.
inline __m512 gelu(__m512 x) {
  const __m512 one = _mm512_set1_ps(1.0f);
  __m512 z = _mm512_mul_ps(_mm512_abs_ps(x), _mm512_set1_ps(0.70710678f));
  __m512 t = _mm512_div_ps(one, _mm512_fmadd_ps(_mm512_set1_ps(0.3275911f), z, one));
  __m512 p = _mm512_set1_ps(1.061405429f);
  for (float factor : {-1.453152027f, 1.421413741f, -0.284496736f, 0.254829592f}) p = _mm512_fmadd_ps(p, t, _mm512_set1_ps(factor));
  __m512 beyond = _mm512_mul_ps(_mm512_mul_ps(p, t), exp(_mm512_fnmadd_ps(z, z, _mm512_setzero_ps())));  // 1 - erf(|x| / √2)
  __mmask16 below = _mm512_cmp_ps_mask(x, _mm512_setzero_ps(), _CMP_LT_OQ);
  __m512 doubled = _mm512_mask_mov_ps(_mm512_sub_ps(_mm512_set1_ps(2.0f), beyond), below, beyond);
  return _mm512_mul_ps(_mm512_mul_ps(_mm512_set1_ps(0.5f), x), doubled);
}

inline __m512 activate(__m512 x, Activation then) {
  switch (then) {
    case Activation::Relu: return _mm512_max_ps(_mm512_setzero_ps(), x);
    case Activation::Gelu: return gelu(x);
    case Activation::GeluTanh: {
      __m512 inner = _mm512_fmadd_ps(_mm512_mul_ps(_mm512_mul_ps(x, x), x), _mm512_set1_ps(0.044715f), x);
      return _mm512_mul_ps(x, sigmoid(_mm512_mul_ps(inner, _mm512_set1_ps(1.59576912f))));
    }
    case Activation::Silu: return _mm512_mul_ps(x, sigmoid(x));
    case Activation::Tanh: return _mm512_fmsub_ps(_mm512_set1_ps(2.0f), sigmoid(_mm512_add_ps(x, x)), _mm512_set1_ps(1.0f));
    default: return x;
  }
}

using Pairs = std::vector<uint32_t, LargeAllocator<uint32_t>>;

uint32_t* at_least(Pairs& memory, size_t size) {
  if (memory.size() < size) {
    memory.clear();  // nothing is copied
    memory.resize(size);
  }
  return memory.data();
}

// Rows of x, up to 16, as tiles of pairs, one after another: [block][pair][row]. Rows that are missing are zero.
void pair_rows(const uint16_t* x, size_t rows, size_t in, uint32_t* made) {
  for (size_t k = 0; k < in; k += kDepth, made += kPairs) {
    __m512i r[16];
    for (size_t i = 0; i < 16; ++i) r[i] = i < rows ? _mm512_loadu_si512(x + i * in + k) : _mm512_setzero_si512();
    transpose(r);
    for (size_t i = 0; i < 16; ++i) _mm512_storeu_si512(made + i * kTile, r[i]);
  }
}

// 32 rows of a weight, as tiles: where a row of theirs begins from the last one, a tile from the last one, and the next pair.
struct Panel {
  const char* tiles;
  size_t row, tile, block;
};

// The same, copied so that all of a tile lies together: [block][tile][row].
Panel gathered(const uint16_t* weight, size_t in, uint32_t* made) {
  char* at = reinterpret_cast<char*>(made);
  for (size_t k = 0; k < in; k += kDepth)
    for (size_t i = 0; i < kPanel; ++i, at += 64) _mm512_storeu_si512(at, _mm512_loadu_si512(weight + i * in + k));
  return {reinterpret_cast<const char*>(made), 64, 1024, 2048};
}

// A panel with one column of tiles of pairs, or with two that are `beside` pairs apart: (32, in) × (in, 16 or 32), into
// sums[tile][column]. ahead: by how many bytes what is read next follows, or 0.
template <bool Two>
void multiply(Panel a, const uint32_t* b, size_t beside, size_t in, size_t ahead, float (&sums)[2][2][kPairs]) {
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  for (size_t k = 0; k < in; k += kDepth, a.tiles += a.block, b += kPairs) {
    if (ahead)
      for (size_t i = 0; i < 32; ++i) _mm_prefetch(a.tiles + ahead + i * a.row, _MM_HINT_T1);
    _tile_loadd(4, a.tiles, a.row);
    _tile_loadd(5, a.tiles + a.tile, a.row);
    _tile_loadd(6, b, 64);
    if constexpr (Two) _tile_loadd(7, b + beside, 64);
    _tile_dpbf16ps(0, 4, 6);
    if constexpr (Two) _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(2, 5, 6);
    if constexpr (Two) _tile_dpbf16ps(3, 5, 7);
  }
  _tile_stored(0, sums[0][0], 64);
  _tile_stored(2, sums[1][0], 64);
  if constexpr (Two) {
    _tile_stored(1, sums[0][1], 64);
    _tile_stored(3, sums[1][1], 64);
  }
}

// What follows the sums of 32 outputs.
class Finish {
 public:
  Finish(const Bfloat16Layer& layer, size_t first, Activation then, size_t known)
      : then_(then), lanes_(~__mmask32(0) << known) {
    bias_[0] = bias_[1] = _mm512_setzero_ps();
    if (layer.bias)
      for (size_t half = 0; half < 2; ++half) {
        __m256i read = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(layer.bias + first + half * kTile));
        bias_[half] = _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(read), 16));
      }
  }
  // One row: all but its first `known` outputs, which another call writes.
  void write(__m512 low, __m512 high, uint16_t* made) const {
    low = activate(_mm512_add_ps(low, bias_[0]), then_);
    high = activate(_mm512_add_ps(high, bias_[1]), then_);
    _mm512_mask_storeu_epi16(made, lanes_, __m512i(_mm512_cvtne2ps_pbh(high, low)));
  }

 private:
  __m512 bias_[2];
  Activation then_;
  __mmask32 lanes_;
};

// An (out, in) weight: its rows are tiles, the input is made of pairs.
void output_first(const Bfloat16Layer& layer, const uint16_t* x, size_t rows, Activation then, uint16_t* made, size_t threads) {
  static thread_local Pairs memory;
  size_t in = layer.in, out = layer.out, column = in * kTile / 2, panels = (out + kPanel - 1) / kPanel;
  size_t step = std::max<size_t>(2, kHeld / (column * sizeof(uint32_t)) / 2 * 2) * kTile;
  for (size_t begin = 0; begin < rows; begin += step) {
    size_t count = std::min(step, rows - begin), columns = (count + kTile - 1) / kTile;
    uint32_t* pairs = at_least(memory, columns * column);
    parallel(columns, columns > 1 ? threads : 1, [&](size_t i) {
      pair_rows(x + (begin + i * kTile) * in, std::min(kTile, count - i * kTile), in, pairs + i * column);
    });
    size_t tasks = threads > 1 ? std::min(panels, threads * 4) : 1;
    parallel(tasks, threads, [&](size_t task) {
      static thread_local Pairs own;
      Tiles tiles;
      alignas(64) float sums[2][2][kPairs];
      for (size_t panel = panels * task / tasks, end = panels * (task + 1) / tasks; panel < end; ++panel) {
        size_t first = std::min(panel * kPanel, out - kPanel);
        Finish finish(layer, first, then, panel * kPanel - first);
        const uint16_t* weight = layer.weight + first * in;
        Panel a{reinterpret_cast<const char*>(weight), in * 2, in * 2 * kTile, 64};
        size_t ahead = (panel + 2) * kPanel <= out ? in * 2 * kPanel : 0;
        if (columns > kFew) a = gathered(weight, in, at_least(own, 2 * column)), ahead = 0;
        for (size_t i = 0; i < columns; i += 2, ahead = 0) {
          const uint32_t* b = pairs + i * column;
          bool two = i + 1 < columns;
          (two ? multiply<true> : multiply<false>)(a, b, column, in, ahead, sums);
          for (size_t j = 0; j < (two ? 2 : 1); ++j) {
            __m512i low[16], high[16];
            for (size_t k = 0; k < 16; ++k) low[k] = _mm512_load_si512(sums[0][j] + k * kTile), high[k] = _mm512_load_si512(sums[1][j] + k * kTile);
            transpose(low);
            transpose(high);
            size_t row = begin + (i + j) * kTile, here = std::min(kTile, rows - row);
            for (size_t k = 0; k < here; ++k)
              finish.write(_mm512_castsi512_ps(low[k]), _mm512_castsi512_ps(high[k]), made + (row + k) * out + first);
          }
        }
      }
    });
  }
}


// A tile's depth of 32 outputs of an (in, out) weight, as two tiles of pairs; reads what is `ahead` outputs further too.
void pair_columns(const uint16_t* weight, size_t out, size_t ahead, uint32_t* made) {
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
    __m512i first = _mm512_loadu_si512(weight), second = _mm512_loadu_si512(weight + out);
    _mm_prefetch(reinterpret_cast<const char*>(weight + ahead), _MM_HINT_T0);
    _mm_prefetch(reinterpret_cast<const char*>(weight + out + ahead), _MM_HINT_T0);
    _mm512_storeu_si512(made, _mm512_permutex2var_epi16(first, low, second));
    _mm512_storeu_si512(made + kPairs, _mm512_permutex2var_epi16(first, high, second));
  }
}

// An (in, out) weight, whose rows are read one after another as far as a tile is deep: the input's rows are tiles here, the
// weight is made of pairs, and sums wait in the second cache. Up to 32 rows.
void input_first(const Bfloat16Layer& layer, const uint16_t* x, size_t rows, Activation then, uint16_t* made, size_t threads) {
  static thread_local std::vector<uint16_t> memory;  // x, and rows of zeros
  size_t in = layer.in, out = layer.out, panels = out / kPanel, tiles_down = (rows + kTile - 1) / kTile;
  memory.assign(tiles_down * kTile * in, 0);
  std::copy(x, x + rows * in, memory.begin());
  const uint16_t* padded = memory.data();
  size_t tasks = threads > 1 ? std::min(panels, threads) : 1;
  parallel(tasks, threads, [&](size_t task) {
    static thread_local Pairs waiting;
    size_t begin = panels * task / tasks, end = panels * (task + 1) / tasks, size = tiles_down * 2 * kPairs;
    auto* sums = reinterpret_cast<float*>(at_least(waiting, (end - begin) * size));
    std::fill(sums, sums + (end - begin) * size, 0.0f);
    alignas(64) uint32_t pairs[2 * kPairs];
    Tiles tiles;
    for (size_t k = 0; k < in; k += kDepth)
      for (size_t panel = begin; panel < end; ++panel) {
        size_t ahead = std::min(kAhead, (end - panel - 1) * kPanel);
        pair_columns(layer.weight + k * out + panel * kPanel, out, ahead, pairs);
        _tile_loadd(6, pairs, 64);
        _tile_loadd(7, pairs + kPairs, 64);
        float* sum = sums + (panel - begin) * size;
        for (size_t i = 0; i < tiles_down; ++i, sum += 2 * kPairs) {
          _tile_loadd(4, padded + i * kTile * in + k, in * 2);
          _tile_loadd(0, sum, 64);
          _tile_dpbf16ps(0, 4, 6);
          _tile_stored(0, sum, 64);
          _tile_loadd(1, sum + kPairs, 64);
          _tile_dpbf16ps(1, 4, 7);
          _tile_stored(1, sum + kPairs, 64);
        }
      }
    for (size_t panel = begin; panel < end; ++panel) {
      Finish finish(layer, panel * kPanel, then, 0);
      const float* sum = sums + (panel - begin) * size;
      for (size_t row = 0; row < rows; ++row) {
        const float* at = sum + row / kTile * 2 * kPairs + row % kTile * kTile;
        finish.write(_mm512_loadu_ps(at), _mm512_loadu_ps(at + kPairs), made + row * out + panel * kPanel);
      }
    }
  });
}

bool ask_for_amx() {
  unsigned a, b, c, d;
  if (simd() != Simd::Avx512 || !__get_cpuid_count(7, 0, &a, &b, &c, &d)) return false;
  constexpr unsigned kBfloat16 = 1u << 22, kTiles = 1u << 24, kVectors = 1u << 5;
  if (!(d & kBfloat16) || !(d & kTiles) || !__get_cpuid_count(7, 1, &a, &b, &c, &d) || !(a & kVectors)) return false;
  constexpr long kAsk = 0x1023, kTileData = 18;  // ARCH_REQ_XCOMP_PERM of Linux, for the registers' contents
  return syscall(SYS_arch_prctl, kAsk, kTileData) == 0;
}

}  // namespace

bool has_amx() {
  static const bool has = ask_for_amx();
  return has;
}


void apply_amx(const Bfloat16Layer& layer, const uint16_t* x, size_t rows, Activation then, uint16_t* made, size_t threads) {
  (layer.input_first ? input_first : output_first)(layer, x, rows, then, made, threads);
}

}  // namespace enfold::nn

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#else
namespace enfold::nn {
bool has_amx() { return false; }
void apply_amx(const Bfloat16Layer&, const uint16_t*, size_t, Activation, uint16_t*, size_t) {}
}  // namespace enfold::nn
#endif
