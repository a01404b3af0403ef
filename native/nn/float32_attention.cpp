// Attention in single precision by the tiles of products: scores and what they find are made for sixteen queries at a time, so
// that a softmax passes from key to key, and nothing is added up across a vector.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <iterator>
#include <limits>
#include <utility>

#include "nn/float32.hpp"
#include "nn/floats.hpp"
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

// Scores [key][query] of a panel to powers of e; `shares` becomes one over their sums, or zero where nothing is seen.
void soften(float* scores, size_t keys, const uint8_t* mask, float scale, float* shares) {
  for (size_t half = 0; half < kPanel; half += kLanes) {
    Vec top = filled(-std::numeric_limits<float>::infinity()), sum = {};
    for (size_t key = 0; key < keys; ++key)
      if (!mask || mask[key]) top = most(load(scores + key * kPanel + half) * scale, top);
    for (size_t key = 0; key < keys; ++key) {
      float* at = scores + key * kPanel + half;
      Vec score = load(at) * scale - top, power = score == score ? exponential(score) : score;
      if (mask && !mask[key]) power = Vec{};
      sum += power;
      store(at, power);
    }
    store(shares + half, sum == 0.0f ? Vec{} : 1.0f / sum);
  }
}

void attend_head(const Float32Attention& p, size_t batch, size_t head) {
  static thread_local Floats memory;
  const float *query = p.query + batch * p.queries.by_batch + head * p.queries.by_head, *key = p.key + batch * p.keys.by_batch + head * p.keys.by_head;
  const float* value = p.value + batch * p.values.by_batch + head * p.values.by_head;
  const uint8_t* mask = p.mask ? p.mask + batch * p.by_mask : nullptr;
  size_t keys = p.keys.tokens, width = p.queries.width, tokens = p.queries.tokens, apart = p.queries.heads * width;
  while (mask && keys && !mask[keys - 1]) --keys;  // nobody looks at what is filled up at the end
  float* made = p.made + batch * tokens * apart + head * width;
  float* x = at_least(memory, kBlock * (2 * width + keys));
  float *found = x + kBlock * width, *scores = found + kBlock * width;
  alignas(64) float shares[kBlock];
  for (size_t row = 0; row < tokens; row += kBlock) {
    size_t rows = std::min(kBlock, tokens - row), panels = up(rows, kPanel);
    bring(query + row * p.queries.by_token, p.queries.by_token, rows, width, x);
    for (size_t i = 0; i < keys; i += kOutputs)
      for (size_t panel = 0; panel < panels; ++panel)
        kBegin[std::min(kOutputs, keys - i) - 1](x + panel * width * kPanel, {key + i * p.keys.by_token, size_t(p.keys.by_token), 1}, width,
                                                 scores + (panel * keys + i) * kPanel, kPanel, {});
    for (size_t panel = 0; panel < panels; ++panel) soften(scores + panel * keys * kPanel, keys, mask, p.scale, shares + panel * kPanel);
    for (size_t i = 0; i < width; i += kOutputs)
      for (size_t panel = 0; panel < panels; ++panel)
        kBegin[std::min(kOutputs, width - i) - 1](scores + panel * keys * kPanel, {value + i, 1, size_t(p.values.by_token)}, keys,
                                                  found + i * kBlock + panel * kPanel, kBlock, {});
    for (size_t i = 0; i < rows; i += kLanes)
      for (size_t j = 0; j < width; j += kLanes) {
        __m256 r[kLanes];
        for (size_t k = 0; k < kLanes; ++k) r[k] = _mm256_loadu_ps(found + (j + k) * kBlock + i);
        transpose(r);
        for (size_t k = 0; k < std::min(kLanes, rows - i); ++k) store(made + (row + i + k) * apart + j, Vec(r[k]) * shares[i + k]);
      }
  }
}

}  // namespace

void attend(const Float32Attention& p, size_t threads) {
  parallel(p.queries.batch * p.queries.heads, threads, [&](size_t i) { attend_head(p, i / p.queries.heads, i % p.queries.heads); });
}

}  // namespace enfold::nn

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#else
namespace enfold::nn {
void attend(const Float32Attention&, size_t) {}
}  // namespace enfold::nn
#endif
