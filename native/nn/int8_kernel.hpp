// Products in eight bits, and what stands around them in a layer, for vectors of kLanes floats.
//
// Included by one source file per instruction set, inside its own namespace, which defines kLanes and, for the products,
//   Sums      sums of products of 16 outputs, all zero to begin with
//   Quads     64 bytes of a weight; weight_quads(at) reads them
//   Inputs    four bytes of an input for each output; input_quad(at) reads them
//   add(sums, inputs, quads) and store(sums, int32_t* at)
//   kRows     rows that are multiplied at a time with two panels
//   kSums     how many Sums the registers hold

#include "nn/vector_functions.hpp"

template <class Combine>
inline float folded(const Vec& value, Combine combine) {
  float made = value[0];
  for (size_t i = 1; i < kLanes; ++i) made = combine(made, value[i]);
  return made;
}

template <size_t From, class Lanes, size_t... I>
inline auto part(const Lanes& value, std::index_sequence<I...>) {
  return __builtin_shufflevector(value, value, int(From + I)...);
}

// By halves: neighbours wait for each other less than in a row.
template <class Lanes>
inline float total_of(const Lanes& value) {
  constexpr size_t half = sizeof value / sizeof(float) / 2;
  if constexpr (half == 1) return value[0] + value[1];
  else return total_of(part<0>(value, std::make_index_sequence<half>()) + part<half>(value, std::make_index_sequence<half>()));
}

inline float total(const Vec& value) { return total_of(value); }

// The sums of a panel and a row to what they stand for.
template <Activation Then>
inline void finish_as(const Product& p, size_t row, size_t panel, const int32_t* sums) {
  size_t first = panel * kOutputs, count = std::min(kOutputs, p.weight.out - first);
  alignas(64) float lanes[kOutputs];
  float spare[kOutputs] = {};
  const float* bias = p.bias ? p.bias + first : spare;
  if (p.bias && count < kOutputs) {
    std::memcpy(spare, bias, count * sizeof(float));
    bias = spare;
  }
  char* at = static_cast<char*>(p.made) + (row * p.stride + first) * (p.narrow ? 2 : 4);
  float* made = reinterpret_cast<float*>(at);
  bool direct = count == kOutputs && !p.narrow;
  if (!direct && p.join != Join::Write) std::memcpy(lanes, made, count * sizeof(float));
  float* to = direct ? made : lanes;
  const float* steps = p.weight.steps(panel);
  const int32_t* weight_sums = p.weight.sums(panel);
  int32_t zero = p.x.zeros[row];
  float step = p.x.steps[row];
#pragma GCC unroll 4
  for (size_t i = 0; i < kOutputs; i += kLanes) {
    Whole whole = load(sums + i) - load(weight_sums + i) * zero;
    Vec value = activated<Then>(converted(whole) * (load(steps + i) * step) + load(bias + i));
    if (p.join == Join::Add) value += load(to + i);
    if (p.join == Join::Times) value *= load(to + i);
    store(to + i, value);
  }
  if (direct) return;
  if (!p.narrow) {
    std::memcpy(at, lanes, count * sizeof(float));
    return;
  }
  // To the nearest, halves to the even one; what is no number stays none.
  typedef uint16_t Halves __attribute__((vector_size(2 * kLanes)));
  uint16_t halves[kOutputs];
#pragma GCC unroll 4
  for (size_t i = 0; i < kOutputs; i += kLanes) {
    Vec value = load(lanes + i);
    Whole whole = bits(value), odd = whole >> 16 & 1;
    Whole rounded = value == value ? whole + 0x7fff + odd : Whole{} + 0x7fc00000;
    Halves half = __builtin_convertvector(rounded >> 16, Halves);
    std::memcpy(halves + i, &half, sizeof half);
  }
  std::memcpy(at, halves, count * sizeof(uint16_t));
}

inline void finish(const Product& p, size_t row, size_t panel, const int32_t* sums) {
  switch (p.after) {
    case Activation::None: return finish_as<Activation::None>(p, row, panel, sums);
    case Activation::Gelu: return finish_as<Activation::Gelu>(p, row, panel, sums);
    case Activation::TanhGelu: return finish_as<Activation::TanhGelu>(p, row, panel, sums);
    case Activation::Relu: return finish_as<Activation::Relu>(p, row, panel, sums);
    case Activation::Silu: return finish_as<Activation::Silu>(p, row, panel, sums);
    case Activation::Tanh: return finish_as<Activation::Tanh>(p, row, panel, sums);
  }
}

constexpr size_t kAhead = 16384;  // bytes that are fetched ahead of those that are multiplied

// Some rows by some panels; sums of Splits parts of the inputs, so that enough of them are under way.
template <size_t Rows, size_t Panels, size_t Splits>
void multiply_block(const Product& p, size_t row, size_t panel, bool first) {
  size_t depth = p.weight.depth, bytes = p.weight.apart();
  const uint8_t* x = p.x.bytes + row * p.x.stride;
  const int8_t* weight = p.weight.panel(panel);
  const int8_t* ahead = weight + std::max(kAhead, Panels * bytes);
  for (size_t j = 0; first && j < 2 * Panels; ++j, ahead += 64) __builtin_prefetch(ahead, 0, 2);  // the steps and sums of these many panels
  if (first && p.bias) __builtin_prefetch(p.bias + panel * kOutputs);
  Sums sums[Splits][Panels][Rows] = {};
  for (size_t i = 0; i < depth; i += 4 * Splits) {
#pragma GCC unroll 4
    for (size_t split = 0; split < Splits; ++split, weight += 4 * kOutputs, x += 4) {
      Quads quads[Panels];
#pragma GCC unroll 2
      for (size_t j = 0; j < Panels; ++j) {
        quads[j] = weight_quads(weight + j * bytes);
        if (first) __builtin_prefetch(ahead, 0, 2), ahead += 4 * kOutputs;
      }
#pragma GCC unroll 8
      for (size_t r = 0; r < Rows; ++r) {
        Inputs inputs = input_quad(x + r * p.x.stride);
#pragma GCC unroll 2
        for (size_t j = 0; j < Panels; ++j) add(sums[split][j][r], inputs, quads[j]);
      }
    }
  }
  for (size_t r = 0; r < Rows; ++r)
    for (size_t j = 0; j < Panels; ++j) {
      alignas(64) int32_t whole[kOutputs], part[kOutputs];
      store(sums[0][j][r], whole);
      for (size_t split = 1; split < Splits; ++split) {
        store(sums[split][j][r], part);
        for (size_t i = 0; i < kOutputs; ++i) whole[i] += part[i];
      }
      finish(p, row + r, panel + j, whole);
    }
}

constexpr size_t splits(size_t sums) { return 4 * sums <= kSums ? 4 : 2 * sums <= kSums ? 2 : 1; }

template <size_t Panels, size_t... I>
constexpr auto blocks_of(std::index_sequence<I...>) {
  return std::array{&multiply_block<I + 1, Panels, splits((I + 1) * Panels)>...};
}

inline void multiply(const Product& p, size_t first, size_t last) {
  static constexpr auto kOne = blocks_of<1>(std::make_index_sequence<kRows>());
  static constexpr auto kTwo = blocks_of<2>(std::make_index_sequence<kRows>());
  size_t rows = p.x.rows, blocks = (rows + kRows - 1) / kRows;  // of almost the same height
  bool wide = rows > 1;  // one row reads front to back, as memory is read best
  for (size_t panel = first; panel < last;) {
    size_t panels = wide && panel + 1 < last ? 2 : 1;
    for (size_t i = 0, row = 0; i < blocks; ++i) {
      size_t count = (rows - row) / (blocks - i);
      (panels == 2 ? kTwo : kOne)[count - 1](p, row, panel, i == 0);
      row += count;
    }
    panel += panels;
  }
}

// To 256 steps between the least and the greatest, zero among them. A row with what is no number has no step.
inline void round_row(const float* x, size_t width, size_t depth, uint8_t* bytes, float& step, int32_t& zero) {
  Vec low = {}, high = {}, spoilt = {};
  size_t whole = width / kLanes * kLanes;
  for (size_t i = 0; i < whole; i += kLanes) {
    Vec value = load(x + i);
    low = least(low, value), high = most(high, value), spoilt += value * 0.0f;
  }
  float bottom = folded(low, [](float a, float b) { return std::min(a, b); });
  float top = folded(high, [](float a, float b) { return std::max(a, b); }), nothing = total(spoilt);
  for (size_t i = whole; i < width; ++i) bottom = std::min(bottom, x[i]), top = std::max(top, x[i]), nothing += x[i] * 0.0f;
  if (nothing != nothing) {
    step = std::numeric_limits<float>::quiet_NaN(), zero = 0;
    std::memset(bytes, 0, depth);
    return;
  }
  step = std::max((top / 255.0f - bottom / 255.0f), std::numeric_limits<float>::min());
  float inverse = 1.0f / step;
  zero = int32_t(std::min(255.0f, std::max(0.0f, std::nearbyint(-bottom * inverse))));
  typedef uint8_t Narrow __attribute__((vector_size(kLanes)));
  for (size_t i = 0; i < whole; i += kLanes) {
    Whole value = __builtin_convertvector(nearest(load(x + i) * inverse), Whole) + zero;
    value = value < 0 ? Whole{} : value;
    value = value > 255 ? Whole{} + 255 : value;
    Narrow narrow = __builtin_convertvector(value, Narrow);
    std::memcpy(bytes + i, &narrow, sizeof narrow);
  }
  for (size_t i = whole; i < width; ++i)
    bytes[i] = uint8_t(std::min(255, std::max(0, int32_t(std::nearbyint(x[i] * inverse)) + zero)));
  std::memset(bytes + width, 0, depth - width);
}

inline void normalize(const Norm& norm, const float* x, size_t width, float* made) {
  size_t whole = width / kLanes * kLanes;
  float mean = 0;
  if (norm.bias) {
    Vec sum = {};
    for (size_t i = 0; i < whole; i += kLanes) sum += load(x + i);
    mean = total(sum);
    for (size_t i = whole; i < width; ++i) mean += x[i];
    mean /= float(width);
  }
  Vec squares = {};
  for (size_t i = 0; i < whole; i += kLanes) {
    Vec off = load(x + i) - mean;
    squares += off * off;
  }
  float square = total(squares);
  for (size_t i = whole; i < width; ++i) square += (x[i] - mean) * (x[i] - mean);
  float factor = 1.0f / std::sqrt(square / float(width) + norm.eps);
  for (size_t i = 0; i < whole; i += kLanes) {
    Vec value = (load(x + i) - mean) * factor * load(norm.weight + i);
    store(made + i, norm.bias ? value + load(norm.bias + i) : value);
  }
  for (size_t i = whole; i < width; ++i) made[i] = (x[i] - mean) * factor * norm.weight[i] + (norm.bias ? norm.bias[i] : 0);
}

inline void rotate(float* x, const float* cos, const float* sin, size_t half) {
  size_t i = 0;
  for (; i + kLanes <= half; i += kLanes) {
    Vec first = load(x + i), second = load(x + half + i), c = load(cos + i), s = load(sin + i);
    store(x + i, first * c - second * s);
    store(x + half + i, second * c + first * s);
  }
  for (; i < half; ++i) {
    float first = x[i], second = x[half + i];
    x[i] = first * cos[i] - second * sin[i];
    x[half + i] = second * cos[i] + first * sin[i];
  }
}

inline float dot(const float* a, const float* b, size_t size) {
  Vec sums[2] = {};
  size_t i = 0;
  for (; i + 2 * kLanes <= size; i += 2 * kLanes) sums[0] += load(a + i) * load(b + i), sums[1] += load(a + i + kLanes) * load(b + i + kLanes);
  if (i + kLanes <= size) sums[0] += load(a + i) * load(b + i), i += kLanes;
  float made = total(sums[0] + sums[1]);
  for (; i < size; ++i) made += a[i] * b[i];
  return made;
}

inline void attend(const float* queries, size_t shared, const Seen& seen, float scale, float* scores, float* made) {
  size_t count = seen.count, dim = seen.dim;
  for (size_t i = 0; i < count; ++i) {
    const float* key = seen.keys + i * seen.step;
    for (size_t q = 0; q < shared; ++q) scores[q * count + i] = dot(queries + q * dim, key, dim) * scale;
  }
  for (size_t q = 0; q < shared; ++q) {
    float* row = scores + q * count;
    // Who sees nothing sees everything alike, as where hidden scores are the least number there is.
    if (seen.mask)
      for (size_t i = 0; i < count; ++i) row[i] = seen.mask[i] ? row[i] : std::numeric_limits<float>::lowest();
    Vec tops = filled(row[0]);
    size_t i = 0;
    for (; i + kLanes <= count; i += kLanes) tops = most(tops, load(row + i));
    float top = folded(tops, [](float a, float b) { return std::max(a, b); });
    for (; i < count; ++i) top = std::max(top, row[i]);
    i = 0;
    Vec sums = {};
    for (; i + kLanes <= count; i += kLanes) {
      Vec value = exponential(load(row + i) - top);
      store(row + i, value), sums += value;
    }
    float sum = total(sums);
    if (i < count) {
      float lanes[kLanes] = {};
      std::memcpy(lanes, row + i, (count - i) * sizeof(float));
      store(lanes, exponential(load(lanes) - top));
      for (size_t j = 0; i + j < count; ++j) row[i + j] = lanes[j], sum += lanes[j];
    }
    float share = 1.0f / sum;
    for (i = 0; i < count; ++i) row[i] *= share;
  }
  for (size_t q = 0; q < shared; ++q) {
    const float* row = scores + q * count;
    float* to = made + q * dim;
    size_t at = 0;
    for (; at + 4 * kLanes <= dim; at += 4 * kLanes) {
      Vec sums[4] = {};
      for (size_t i = 0; i < count; ++i)
        for (size_t j = 0; j < 4; ++j) sums[j] += row[i] * load(seen.values + i * seen.step + at + j * kLanes);
      for (size_t j = 0; j < 4; ++j) store(to + at + j * kLanes, sums[j]);
    }
    for (; at + kLanes <= dim; at += kLanes) {
      Vec sums = {};
      for (size_t i = 0; i < count; ++i) sums += row[i] * load(seen.values + i * seen.step + at);
      store(to + at, sums);
    }
    for (; at < dim; ++at) {
      float sum = 0;
      for (size_t i = 0; i < count; ++i) sum += row[i] * seen.values[i * seen.step + at];
      to[at] = sum;
    }
  }
}
