#include "nn/int8_block.hpp"

#include <algorithm>
#include <cstring>
#include <stdexcept>

#include "tokenizer/threads.hpp"

namespace enfold::nn {
namespace {

// A thread's memory between the parts of a layer.
struct Scratch {
  Rounding rounding{};
  std::vector<float> line{}, heads{}, attended{}, inner{};
};

float* at_least(std::vector<float>& memory, size_t size) {
  if (memory.size() < size) memory.resize(size);
  return memory.data();
}

Product product(const Rounding& rounding, const Layer& layer, float* made, size_t stride, Activation after = Activation::None, Join join = Join::Write) {
  return {rounding.rounded(), layer.weight->weight(), layer.bias, made, stride, after, join, false};
}

// Below so many numbers of keys and values threads are not worth waking.
constexpr size_t kShared = size_t(1) << 18;

}  // namespace

Int8Block::Int8Block(BlockParts parts) : parts_(std::move(parts)), kernel_(parts_.output.weight->kernel()), width_(parts_.output.weight->out()), inner_(parts_.up.weight->out()) {
  size_t given = 0;
  for (const Layer& layer : parts_.inputs) {
    given += layer.weight->out();
    if (layer.weight->in() != width_) throw std::invalid_argument("queries, keys and values are made of the layer's width");
  }
  const BlockParts& p = parts_;
  if (!p.dim || !p.kept_heads || !p.heads || p.heads % p.kept_heads || given != (p.heads + 2 * p.kept_heads) * p.dim)
    throw std::invalid_argument("the projections do not make the heads that there are");
  if (p.output.weight->in() != p.heads * p.dim) throw std::invalid_argument("the output is not made of the heads");
  bool gate = !p.gate || (p.gate->weight->in() == width_ && p.gate->weight->out() == inner_);
  if (!gate || p.up.weight->in() != width_ || p.down.weight->in() != inner_ || p.down.weight->out() != width_)
    throw std::invalid_argument("the feed-forward's layers do not fit together");
}

void Int8Block::step(const Step& s, size_t threads) const {
  static thread_local Scratch scratch;
  const BlockParts& p = parts_;
  size_t rows = s.rows, queries = p.heads * p.dim, kept = p.kept_heads * p.dim, given = queries + 2 * kept;
  float* line = at_least(scratch.line, width_);
  float* heads = at_least(scratch.heads, rows * given);
  float* attended = at_least(scratch.attended, rows * queries);
  float* inner = at_least(scratch.inner, rows * inner_);
  Rounding& rounding = scratch.rounding;

  rounding.begin(kernel_, rows, p.inputs[0].weight->weight().depth);
  for (size_t row = 0; row < rows; ++row) {
    kernel_.normalize(p.before, s.x + row * width_, width_, line);
    rounding.row(kernel_, row, line, width_);
  }
  float* to = heads;
  for (const Layer& layer : p.inputs) {
    multiply(kernel_, product(rounding, layer, to, given), threads);
    to += layer.weight->out();
  }

  size_t count = s.position + 1, shared = p.heads / p.kept_heads;
  auto attend = [&](size_t row, size_t head, float* scores) {
    float* query = heads + row * given + head * shared * p.dim;
    float* key = heads + row * given + queries + head * p.dim;
    if (s.cos) {
      const float *cos = s.cos + row * s.angle_step, *sin = s.sin + row * s.angle_step;
      for (size_t i = 0; i < shared; ++i) kernel_.rotate(query + i * p.dim, cos, sin, s.half);
      kernel_.rotate(key, cos, sin, s.half);
    }
    float *keys = s.keys + row * s.row_step + head * s.head_step, *values = s.values + row * s.row_step + head * s.head_step;
    std::memcpy(keys + s.position * s.token_step, key, p.dim * sizeof(float));
    std::memcpy(values + s.position * s.token_step, key + kept, p.dim * sizeof(float));
    Seen seen{keys, values, count, s.token_step, p.dim, s.mask ? s.mask + row * s.mask_step : nullptr};
    kernel_.attend(query, shared, seen, p.scale, scores, attended + row * queries + head * shared * p.dim);
  };
  size_t jobs = rows * p.kept_heads;
  parallel(jobs, jobs * count * p.dim < kShared ? 1 : threads, [&](size_t job) {
    static thread_local std::vector<float> scores;
    attend(job / p.kept_heads, job % p.kept_heads, at_least(scores, shared * count));
  });

  auto round = [&](const float* x, size_t width, const Layer& layer) {
    rounding.begin(kernel_, rows, layer.weight->weight().depth);
    for (size_t row = 0; row < rows; ++row) rounding.row(kernel_, row, x + row * width, width);
  };
  round(attended, queries, p.output);
  if (s.made != s.x) std::memcpy(s.made, s.x, rows * width_ * sizeof(float));
  multiply(kernel_, product(rounding, p.output, s.made, width_, Activation::None, Join::Add), threads);

  rounding.begin(kernel_, rows, p.up.weight->weight().depth);
  for (size_t row = 0; row < rows; ++row) {
    kernel_.normalize(p.between, s.made + row * width_, width_, line);
    rounding.row(kernel_, row, line, width_);
  }
  if (p.gate) {
    multiply(kernel_, product(rounding, *p.gate, inner, inner_, p.after), threads);
    multiply(kernel_, product(rounding, p.up, inner, inner_, Activation::None, Join::Times), threads);
  } else {
    multiply(kernel_, product(rounding, p.up, inner, inner_, p.after), threads);
  }
  round(inner, inner_, p.down);
  multiply(kernel_, product(rounding, p.down, s.made, width_, Activation::None, Join::Add), threads);
}

}  // namespace enfold::nn
