// Linear layers in eight bits: weights rounded once, with a step for each output; inputs rounded at each call, with a step for
// each row. Products and sums are of integers, and exact.
//
//   y[r][o] = (Σ x8[r][i] · w8[o][i] - zero[r] · Σ w8[o][i]) · step[r] · step[o] + bias[o]
//
// A weight lies in panels of 16 outputs, [panel][quad of inputs][output of the panel][input of the quad]: 64 bytes are what VNNI
// multiplies with four inputs of a row, and 1,024 are a tile of AMX. Behind each panel lie the steps of its outputs and the sums
// of their weights, so that all is read from front to back.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "nn/activation.hpp"

namespace enfold::nn {

inline constexpr size_t kOutputs = 16;  // of a panel
inline constexpr size_t kDeep = 64;     // inputs are filled up with zeros to a multiple of this
inline constexpr size_t kFew = 8;       // rows up to which a weight is read once for all of them together
inline constexpr size_t kMostInputs = 66000;  // whose sum of products of 255 and 127 fits into 32 bits

enum class Join { Write, Add, Times };

// Rows of an input, rounded.
struct Rounded {
  const uint8_t* bytes;  // (rows, stride); where kernels compute by tiles, rows to a multiple of 32 may be read
  size_t rows, stride;
  const float* steps;
  const int32_t* zeros;
};

struct Weight {
  const int8_t* panels;
  size_t out, depth;

  size_t apart() const { return kOutputs * (depth + sizeof(float) + sizeof(int32_t)); }  // bytes from panel to panel
  const int8_t* panel(size_t index) const { return panels + index * apart(); }
  const float* steps(size_t index) const { return reinterpret_cast<const float*>(panel(index) + kOutputs * depth); }
  const int32_t* sums(size_t index) const { return reinterpret_cast<const int32_t*>(steps(index) + kOutputs); }
};

struct Product {
  Rounded x;
  Weight weight;
  const float* bias;  // (out), or null
  void* made;         // (rows, stride), float or, where it is narrow, bfloat16, which is only written
  size_t stride;
  Activation after;
  Join join;
  bool narrow;
};

struct Norm {
  const float *weight, *bias;  // without a bias nothing is subtracted either: by the root of the mean square
  float eps;
};

// One row's queries of one head of keys, and what they see.
struct Seen {
  const float *keys, *values;  // (count, step)
  size_t count, step, dim;
  const uint8_t* mask;  // (count), 0 hides; or null
};

// What the instruction sets differ in.
struct Int8Kernel {
  std::string_view name;
  bool tiles;  // many rows are multiplied by tiles, so that what lies behind them is read
  void (*round)(const float* x, size_t width, size_t depth, uint8_t* bytes, float& step, int32_t& zero);
  void (*multiply)(const Product& product, size_t first_panel, size_t last_panel);
  void (*normalize)(const Norm& norm, const float* x, size_t width, float* made);
  // Turns pairs (i, half + i) of a head by their angles.
  void (*rotate)(float* x, const float* cos, const float* sin, size_t half);
  // queries, made: (shared, dim); scores: (shared, count), overwritten.
  void (*attend)(const float* queries, size_t shared, const Seen& seen, float scale, float* scores, float* made);
};

// The best kernel of this processor, or one of it by name ("amx", "avx512", "avxvnni", "avx2", "portable"); null where it lacks
// the instructions, or ENFOLD_SIMD asks for narrower ones.
const Int8Kernel* int8_kernel(std::string_view name = "");
std::vector<std::string_view> int8_kernels();

const Int8Kernel* int8_portable();
const Int8Kernel* int8_avx2();
const Int8Kernel* int8_avxvnni();
const Int8Kernel* int8_avx512();
const Int8Kernel* int8_amx();

// A thread's memory for rounded rows.
class Rounding {
 public:
  // Rows of `width` numbers for a weight of this depth.
  void begin(const Int8Kernel& kernel, size_t rows, size_t depth);
  void row(const Int8Kernel& kernel, size_t index, const float* x, size_t width);
  Rounded rounded() const { return {bytes_.data(), rows_, stride_, steps_.data(), zeros_.data()}; }

 private:
  std::vector<uint8_t> bytes_{};
  std::vector<float> steps_{};
  std::vector<int32_t> zeros_{};
  size_t rows_ = 0, depth_ = 0, stride_ = 0;
};

void multiply(const Int8Kernel& kernel, const Product& product, size_t threads);

// A weight, rounded and packed.
class Int8Weight {
 public:
  // rounded: (out, in); steps: (out).
  Int8Weight(const Int8Kernel& kernel, const int8_t* rounded, const float* steps, size_t out, size_t in);
  // x: (rows, in), float or bfloat16; made: (rows, out) of the same type.
  void apply(const void* x, size_t rows, bool narrow, const float* bias, void* made, Activation after, size_t threads) const;
  // Writes the rounded weight (out, in).
  void unpack(int8_t* rounded) const;
  const Int8Kernel& kernel() const { return kernel_; }
  Weight weight() const { return {reinterpret_cast<const int8_t*>(panels_.get()), out_, depth_}; }
  size_t in() const { return in_; }
  size_t out() const { return out_; }
  size_t bytes() const;

 private:
  const Int8Kernel& kernel_;
  size_t out_, in_, depth_;
  std::shared_ptr<std::byte> panels_;
};

}  // namespace enfold::nn
