// Products in eight bits on any processor.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <iterator>
#include <limits>
#include <utility>

#include "nn/int8.hpp"

namespace enfold::nn {
namespace {

constexpr size_t kLanes = 4, kRows = 4, kSums = 8;

struct Sums {
  int32_t lanes[kOutputs];
};
struct Quads {
  const int8_t* at;
};
struct Inputs {
  int32_t four[4];
};

inline Quads weight_quads(const int8_t* at) { return {at}; }
inline Inputs input_quad(const uint8_t* at) { return {{at[0], at[1], at[2], at[3]}}; }

inline void add(Sums& sums, const Inputs& inputs, const Quads& quads) {
  for (size_t lane = 0; lane < kOutputs; ++lane)
    for (size_t i = 0; i < 4; ++i) sums.lanes[lane] += inputs.four[i] * quads.at[4 * lane + i];
}

inline void store(const Sums& sums, int32_t* at) { std::memcpy(at, sums.lanes, sizeof sums.lanes); }

#include "nn/int8_kernel.hpp"

}  // namespace

const Int8Kernel* int8_portable() {
  static constexpr Int8Kernel kernel{"portable", false, round_row, multiply, normalize, rotate, attend};
  return &kernel;
}

}  // namespace enfold::nn
