#include "nn/rows_block.hpp"

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <vector>

#include "tokenizer/threads.hpp"

namespace enfold::nn {
namespace {

// A thread's memory between the parts of a layer.
struct Scratch {
  std::vector<float> normed{}, queries{}, keys{}, values{}, attended{}, gate{}, inner{};
};

float* at_least(std::vector<float>& memory, size_t size) {
  if (memory.size() < size) memory.resize(size);
  return memory.data();
}

// The positions that a mask shows, as runs.
void shown(const uint8_t* mask, size_t count, std::vector<Run>& runs) {
  runs.clear();
  for (size_t i = 0; i < count; ++i) {
    if (!mask[i]) continue;
    if (i && mask[i - 1] && !runs.empty()) ++runs.back().count;
    else runs.push_back({int64_t(i), 1});
  }
}

// Below so many numbers of keys and values threads are not worth waking.
constexpr size_t kShared = size_t(1) << 18;

const RowsKernel& kernel() {
  const RowsKernel* found = rows_kernel();
  if (!found) throw std::invalid_argument("the processor has no AVX2");
  return *found;
}

}  // namespace

RowsBlock::RowsBlock(const RowsParts& parts) : parts_(parts), kernel_(kernel()) {
  const RowsParts& p = parts_;
  size_t width = p.output.out, queries = p.heads * p.dim, kept = p.kept_heads * p.dim;
  if (!p.kept_heads || p.heads % p.kept_heads || !p.dim || p.dim % 16) throw std::invalid_argument("heads are a multiple of 16 wide, and of those kept");
  bool in = p.query.in == width && p.key.in == width && p.value.in == width && p.gate.in == width && p.up.in == width;
  bool out = p.query.out == queries && p.key.out == kept && p.value.out == kept && p.output.in == queries;
  if (!in || !out || p.gate.out != p.up.out || p.down.in != p.up.out || p.down.out != width)
    throw std::invalid_argument("the layers do not fit together");
}

void RowsBlock::step(const RowsStep& s, const RowsBlock* next, size_t threads) const {
  static thread_local Scratch scratch;
  const RowsParts& p = parts_;
  size_t tokens = s.tokens, width = p.output.out, kept = p.kept_heads * p.dim, group = p.heads / p.kept_heads;
  float* normed = at_least(scratch.normed, tokens * width);
  float* queries = at_least(scratch.queries, tokens * p.query.out);
  float* keys = at_least(scratch.keys, tokens * kept);
  float* values = at_least(scratch.values, tokens * kept);
  float* attended = at_least(scratch.attended, tokens * p.query.out);
  float* gate = at_least(scratch.gate, tokens * p.gate.out);
  float* inner = at_least(scratch.inner, tokens * p.up.out);
  auto project = [&](const RowsLayer& layer, const float* x, const float* onto, float* made, const float* then) {
    multiply_rows(kernel_, {x, layer.weight, layer.bias, onto, made, tokens, layer.in, layer.out, then}, threads);
  };

  kernel_.norm(s.x, p.before.weight, p.before.eps, normed, tokens, width);
  project(p.query, normed, nullptr, queries, p.key.weight);
  project(p.key, normed, nullptr, keys, p.value.weight);
  project(p.value, normed, nullptr, values, p.output.weight);
  if (s.cos) {
    // Angles that all tokens share are those of one position of many rows.
    size_t batch = s.angle_step ? 1 : tokens, each = s.angle_step ? tokens : 1;
    auto turn = [&](float* x, size_t heads) {
      int64_t row = int64_t(heads * p.dim);
      Heads lie{batch, heads, each, p.dim, row, int64_t(p.dim), row};
      kernel_.rotate(lie, x, s.cos, s.sin, s.half, true, lie, x);
    };
    turn(queries, p.heads);
    turn(keys, p.kept_heads);
  }
  for (size_t token = 0; token < tokens; ++token) {
    size_t place = token * s.row_step + (s.where ? size_t(s.where[token]) : s.position) * p.dim;
    for (size_t head = 0; head < p.kept_heads; ++head) {
      size_t from = token * kept + head * p.dim, to = place + head * s.head_step;
      std::memcpy(s.keys + to, keys + from, p.dim * sizeof(float));
      std::memcpy(s.values + to, values + from, p.dim * sizeof(float));
    }
  }
  size_t seen = s.starts ? size_t(1) << 9 : s.position + 1;  // about, where runs say it
  parallel(tokens, tokens * kept * seen < kShared ? 1 : threads, [&](size_t token) {
    static thread_local std::vector<Run> own;
    const Run* runs = s.starts ? s.runs + s.starts[token] : nullptr;
    size_t count = s.starts ? size_t(s.starts[token + 1] - s.starts[token]) : 0;
    if (!runs) {
      if (s.mask) shown(s.mask + token * s.mask_step, s.position + 1, own);
      else own.assign(1, {0, int64_t(s.position) + 1});
      runs = own.data(), count = own.size();
    }
    for (size_t head = 0; head < p.kept_heads; ++head) {
      size_t place = token * s.row_step + head * s.head_step, query = token * p.query.out + head * group * p.dim;
      if (count) kernel_.attend(queries + query, int64_t(p.dim), group, p.dim, s.keys + place, s.values + place, runs, count, p.scale, attended + query);
      else std::memset(attended + query, 0, group * p.dim * sizeof(float));
    }
  });
  project(p.output, attended, s.x, s.made, p.gate.weight);

  kernel_.norm(s.made, p.between.weight, p.between.eps, normed, tokens, width);
  project(p.gate, normed, nullptr, gate, p.up.weight);
  project(p.up, normed, nullptr, inner, p.down.weight);
  kernel_.gate(gate, inner, inner, tokens * p.up.out);
  project(p.down, inner, s.made, s.made, next ? next->parts_.query.weight : nullptr);
}

}  // namespace enfold::nn
