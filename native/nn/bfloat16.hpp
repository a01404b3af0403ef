// Linear layers in bfloat16 on a processor with AMX: the weight is used where it lies.
//
// AMX multiplies a tile of 16 rows with one whose rows hold pairs. Of (out, in) the rows are the weight's own, and the input
// is brought into pairs; of (in, out) it is the other way round. A weight is read once, which is all the time that a product
// of few rows takes, and nothing is kept of it.
#pragma once

#include <cstddef>
#include <cstdint>

namespace enfold::nn {

enum class Activation { None, Relu, Gelu, GeluTanh, Silu, Tanh };

struct Bfloat16Layer {
  const uint16_t* weight;  // (out, in), or (in, out)
  const uint16_t* bias;    // (out) or null
  size_t in, out;          // `in`: a multiple of 32; `out`: at least 32
  bool input_first;        // whether the weight is (in, out): then `out` is a multiple of 32, for up to 32 rows
};

// Whether the processor has AMX for bfloat16 and the system lets this process use it. Asked once.
bool has_amx();

// made (rows, out) = then(x · weight + bias), for x (rows, in); sums and activation in single precision.
void apply_amx(const Bfloat16Layer& layer, const uint16_t* x, size_t rows, Activation then, uint16_t* made, size_t threads);

}  // namespace enfold::nn
