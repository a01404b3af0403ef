#include "nn/float32.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <iterator>
#include <limits>
#include <type_traits>
#include <utility>

#include "nn/floats.hpp"
#include "simd.hpp"
#include "tokenizer/threads.hpp"

#if defined(__x86_64__)
#include <immintrin.h>

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma")
#endif

namespace enfold::nn {
namespace {

#include "nn/float32_tiles.hpp"

constexpr size_t kStrip = 24;  // outputs that are finished at a time, a multiple of kOutputs and kLanes
constexpr size_t kDeep = 768;  // inputs that are summed at a time: a block's stay in the second cache

inline void narrow(float* at, const Vec& value, size_t count) { std::memcpy(at, &value, count * sizeof(float)); }

// To the nearest, halves to the even one; what is no number stays none.
inline void narrow(uint16_t* at, const Vec& value, size_t count) {
  typedef uint16_t Halves __attribute__((vector_size(2 * kLanes)));
  Whole whole = bits(value), rounded = value == value ? whole + 0x7fff + (whole >> 16 & 1) : Whole{} + 0x7fc00000;
  Halves halves = __builtin_convertvector(rounded >> 16, Halves);
  std::memcpy(at, &halves, count * sizeof(uint16_t));
}

// Sums [output][row] to what they stand for.
template <Activation Then, class T>
void finish(const Float32Product<T>& p, size_t row, size_t rows, size_t output, size_t outputs, const float* sums) {
  for (size_t i = 0; i < rows; i += kLanes)
    for (size_t j = 0; j < outputs; j += kLanes) {
      size_t count = std::min(kLanes, outputs - j);
      __m256 r[kLanes];
      for (size_t k = 0; k < kLanes; ++k) r[k] = _mm256_loadu_ps(sums + (j + k) * kBlock + i);
      transpose(r);
      Vec bias = p.bias ? wide(p.bias + output + j, count) : Vec{};
      size_t at = (row + i) * p.out + output + j;
      for (size_t k = 0; k < std::min(kLanes, rows - i); ++k, at += p.out) {
        Vec value = activated<Then>(Vec(r[k]) + bias);
        if (p.onto) value += wide(p.onto + at, count);
        narrow(p.made + at, value, count);
      }
    }
}

// Some outputs' weights in single precision: where they lie, or brought there.
inline const float* widened(const float* weight, size_t, Floats&) { return weight; }

inline const float* widened(const uint16_t* weight, size_t count, Floats& memory) {
  float* made = at_least(memory, up(count, kLanes) * kLanes);
  for (size_t i = 0; i < count; i += kLanes) store(made + i, wide(weight + i, std::min(kLanes, count - i)));
  return made;
}

// A block of rows by outputs first … last.
template <Activation Then, class T>
void multiply_block(const Float32Product<T>& p, size_t row, size_t rows, size_t first, size_t last) {
  static thread_local Floats panel_memory, weight_memory;
  constexpr bool kLies = std::is_same_v<T, float>;
  alignas(64) float sums[kStrip * kBlock] = {};
  size_t panels = up(rows, kPanel), parts = std::max<size_t>(1, up(p.in, kDeep)), each = up(p.in, parts);
  float* x = at_least(panel_memory, panels * kPanel * p.in);
  bring(p.x + row * p.in, p.in, rows, p.in, x);
  for (size_t strip = first; strip < last; strip += kStrip) {
    size_t end = std::min(last, strip + kStrip);
    for (size_t output = strip; output < end; output += kOutputs) {
      size_t outputs = std::min(kOutputs, end - output), next = output + outputs < last ? output + outputs : first;
      size_t ahead = kLies ? std::min(kOutputs, last - next) : 0;
      const float* weight = widened(p.weight + output * p.in, outputs * p.in, weight_memory);
      const float* then = weight + (next - output) * p.in;
      for (size_t k = 0; k < p.in; k += each) {
        size_t depth = std::min(each, p.in - k);
        Tile multiply = (k ? kAdd : kBegin)[outputs - 1];
        for (size_t panel = 0; panel < panels; ++panel)
          multiply(x + (panel * p.in + k) * kPanel, {weight + k, p.in, 1}, depth, sums + (output - strip) * kBlock + panel * kPanel, kBlock,
                   {then + k, ahead * panel / panels, ahead * (panel + 1) / panels});
      }
    }
    finish<Then>(p, row, rows, strip, end - strip, sums);
  }
}

template <class T>
using Block = void (*)(const Float32Product<T>&, size_t, size_t, size_t, size_t);

template <class T>
Block<T> block_for(Activation then) {
  switch (then) {
    case Activation::Gelu: return multiply_block<Activation::Gelu, T>;
    case Activation::TanhGelu: return multiply_block<Activation::TanhGelu, T>;
    case Activation::Relu: return multiply_block<Activation::Relu, T>;
    case Activation::Silu: return multiply_block<Activation::Silu, T>;
    case Activation::Tanh: return multiply_block<Activation::Tanh, T>;
    default: return multiply_block<Activation::None, T>;
  }
}

}  // namespace

template <class T>
void multiply(const Float32Product<T>& p, size_t threads) {
  if (!p.rows || !p.out) return;
  // Blocks of almost the same height; where there are few of them, threads share their outputs.
  size_t blocks = up(p.rows, kBlock), strips = up(p.out, kStrip);
  size_t shares = threads < 2 || blocks % threads == 0 || blocks >= 4 * threads ? 1 : std::min(threads, strips);
  size_t height = up(up(p.rows, blocks), kPanel) * kPanel;
  Block<T> multiply_block = block_for<T>(p.then);
  parallel(blocks * shares, threads, [&](size_t task) {
    size_t row = task / shares * height, share = task % shares;
    if (row >= p.rows) return;
    size_t first = strips * share / shares * kStrip, last = std::min(p.out, strips * (share + 1) / shares * kStrip);
    multiply_block(p, row, std::min(height, p.rows - row), first, last);
  });
}

template void multiply(const Float32Product<float>&, size_t);
template void multiply(const Float32Product<uint16_t>&, size_t);

}  // namespace enfold::nn

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

namespace enfold::nn {
bool has_float32() { return simd() == Simd::Avx2 && __builtin_cpu_supports("fma"); }
}  // namespace enfold::nn
#else
namespace enfold::nn {
bool has_float32() { return false; }
template <class T>
void multiply(const Float32Product<T>&, size_t) {}
template void multiply(const Float32Product<float>&, size_t);
template void multiply(const Float32Product<uint16_t>&, size_t);
}  // namespace enfold::nn
#endif
