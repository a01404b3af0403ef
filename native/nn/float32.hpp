// Products of many rows in single precision, and what follows them, on a processor with AVX2.
//
// Six outputs by sixteen rows are summed at a time. Their weights are read where they lie; it is the rows that are brought into
// order, panels of sixteen with one input after another. Of a product that copies one number in so many as there are outputs,
// where a packed weight copies one in so many as there are rows. Numbers in bfloat16 are widened on the way, which is best on
// processors without instructions for them. Each sum is made in the same order whatever the number of rows, so that a row's
// numbers do not depend on what else is multiplied with it.
#pragma once

#include <cstddef>
#include <cstdint>

#include "nn/activation.hpp"

namespace enfold::nn {

// made = then(x · weight + bias) + onto, of float or bfloat16 (uint16_t), which is rounded once.
template <class T>
struct Float32Product {
  const T *x, *weight;   // (rows, in), (out, in)
  const T *bias, *onto;  // (out), (rows, out), which is not `made`; or null
  T* made;               // (rows, out)
  size_t rows, in, out;
  Activation then;
};

// Whether this processor has the instructions, and no wider ones for which another library is the better.
bool has_float32();
template <class T>
void multiply(const Float32Product<T>& product, size_t threads);

}  // namespace enfold::nn
