#include "nn/bfloat16.hpp"

namespace enfold::nn {

// Up to these many rows of an (out, in) weight, bringing them into pairs takes less than bringing the weight.
constexpr size_t kFewOutputFirst = 64, kFewInputFirst = 32;

void multiply(const Bfloat16Layer& layer, const uint16_t* x, size_t rows, Activation then, uint16_t* made, size_t threads) {
  (rows <= (layer.input_first ? kFewInputFirst : kFewOutputFirst) ? few_rows : many_rows)(layer, x, rows, then, made, threads);
}

}  // namespace enfold::nn
