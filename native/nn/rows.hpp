// What a decoder computes for a few tokens at a time: products with weights where they lie, and what goes on between them.
//
// A product of few rows is as fast as its weight is read. Weights are (out, in), as models keep them; nothing is packed.
// Every sum is made in the same order whatever the number of rows, so that a token's numbers do not depend on who else is
// read with it. Single precision.
#pragma once

#include <cstddef>
#include <cstdint>

namespace enfold::nn {

// A part of a sequence's keys: positions that lie side by side.
struct Run {
  int64_t first, count;
};

// Heads of queries or keys: where (batch, head, token) begins, in floats.
struct Heads {
  size_t batch, heads, tokens, width;
  int64_t by_batch, by_head, by_token;
};

// made[row, column] = x[row] · weight[column] + bias[column] + onto[row, column].
struct RowsProduct {
  const float *x, *weight;  // (rows, in), (out, in)
  const float *bias, *onto; // (out), (rows, out), which may be made; or null
  float* made;              // (rows, out)
  size_t rows, in, out;
  const float* then;  // the weight that is read next: its beginning is fetched ahead; or null
};

struct RowsKernel {
  // For columns first … last.
  void (*multiply)(const RowsProduct& product, size_t first, size_t last);
  // made = x / √(mean x² + eps) · weight, rows of `width`.
  void (*norm)(const float* x, const float* weight, float eps, float* made, size_t rows, size_t width);
  // made = silu(gate) · up.
  void (*gate)(const float* gate, const float* up, float* made, size_t count);
  // Rotates pairs (i, i + half) of the first 2 · half numbers of each head; cos and sin: (tokens or batch · tokens, half).
  void (*rotate)(const Heads& heads, const float* x, const float* cos, const float* sin, size_t half, bool shared, const Heads& to, float* made);
  // What `group` queries (group, width), `by_query` floats apart, find in the runs of one head; made: (group, width).
  void (*attend)(const float* query, int64_t by_query, size_t group, size_t width, const float* keys, const float* values, const Run* runs,
                 size_t count, float scale, float* made);
};

// Null where the processor lacks the instructions.
const RowsKernel* rows_kernel();
// The whole product, on up to `threads` threads.
void multiply_rows(const RowsKernel& kernel, const RowsProduct& product, size_t threads);
const RowsKernel* rows_avx2();
const RowsKernel* rows_avx512();

}  // namespace enfold::nn
