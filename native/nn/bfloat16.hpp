// Linear layers in bfloat16 on a processor with AMX: the weight is used where it lies.
//
// AMX multiplies a tile of 16 rows with one whose rows hold pairs. Of few rows the weight is read once, which is all the time
// that a product takes: rows of (out, in) are tiles, and the input is brought into pairs; of (in, out) it is the other way round.
// Of many rows the input is read where it lies, and the weight is brought into pairs, as much as the second cache holds at a
// time. Nothing is kept of it.
#pragma once

#include <cstddef>
#include <cstdint>

#include "nn/activation.hpp"

namespace enfold::nn {

struct Bfloat16Layer {
  const uint16_t* weight;  // (out, in), or (in, out)
  const uint16_t* bias;    // (out) or null
  size_t in, out;          // `in`: a multiple of 32; `out`: at least 32, and a multiple of 32 for up to 32 rows of (in, out)
  bool input_first;        // whether the weight is (in, out)
};

// made (rows, out) = then(x · weight + bias), for x (rows, in); sums and activation in single precision.
void multiply(const Bfloat16Layer& layer, const uint16_t* x, size_t rows, Activation then, uint16_t* made, size_t threads);

// made (left, right) = aᵀ · b and sums (left) = those of a's columns, for a (rows, left) and b (rows, right), both widths
// multiples of 32; any number of rows. `sums` may be null. In single precision.
void multiply_transposed(const uint16_t* a, const uint16_t* b, size_t rows, size_t left, size_t right, float* made, float* sums, size_t threads);

// The two ways, which `multiply` chooses from: rows up to any number, or 32 for an (in, out) weight; and from 32.
void few_rows(const Bfloat16Layer& layer, const uint16_t* x, size_t rows, Activation then, uint16_t* made, size_t threads);
void many_rows(const Bfloat16Layer& layer, const uint16_t* x, size_t rows, Activation then, uint16_t* made, size_t threads);

}  // namespace enfold::nn
