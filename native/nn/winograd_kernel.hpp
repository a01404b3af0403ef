// The steps of Winograd's convolution for vectors of kLanes floats.
//
// Included by one source file per instruction set, inside its own namespace, which defines kLanes and kRows: how many tiles
// are multiplied at a time, so that their sums fill the registers.

typedef float Vec __attribute__((vector_size(4 * kLanes)));

constexpr size_t kVectors = 2, kPanel = kVectors * kLanes, kChain = 32;

// For the weights: doubles that fill a register, and what they are rounded to.
constexpr size_t kPart = kLanes / 2;
typedef double Doubles __attribute__((vector_size(8 * kPart)));
typedef float Halves __attribute__((vector_size(4 * kPart)));

inline Vec load(const float* at) {
  Vec value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

inline void store(float* at, const Vec& value) { std::memcpy(at, &value, sizeof value); }

// Half of a and half of b, in turns.
template <size_t From, size_t... I>
inline Vec interleaved(const Vec& a, const Vec& b, std::index_sequence<I...>) {
  return __builtin_shufflevector(a, b, int(From + I / 2 + I % 2 * kLanes)...);
}

// Turns a square of floats over: each round halves the distance between neighbours of a column.
inline void transpose(Vec (&rows)[kLanes]) {
  constexpr auto lanes = std::make_index_sequence<kLanes>();
#pragma GCC unroll 4
  for (size_t round = 1; round < kLanes; round *= 2) {
    Vec next[kLanes];
#pragma GCC unroll 8
    for (size_t i = 0; i < kLanes / 2; ++i) {
      next[2 * i] = interleaved<0>(rows[i], rows[i + kLanes / 2], lanes);
      next[2 * i + 1] = interleaved<kLanes / 2>(rows[i], rows[i + kLanes / 2], lanes);
    }
#pragma GCC unroll 16
    for (size_t i = 0; i < kLanes; ++i) rows[i] = next[i];
  }
}

// The transforms of one line, for the points 0, ±a, ±b, ∞. With a = 3/4 and b = 3/2 errors are a quarter of what the usual
// 1 and 2 give, and every factor of the data is exact in binary.
template <size_t Tile>
struct Line;

template <>
struct Line<4> {
  static constexpr float a = 0.75f, b = 1.5f, aa = a * a, bb = b * b;
  template <class T>
  static void input(const T& d0, const T& d1, const T& d2, const T& d3, const T& d4, const T& d5, T* made, size_t step) {
    T even_a = d4 - bb * d2, odd_a = d3 - bb * d1, even_b = d4 - aa * d2, odd_b = d3 - aa * d1;
    made[0] = aa * bb * d0 - (aa + bb) * d2 + d4;
    made[step] = even_a + a * odd_a;
    made[2 * step] = even_a - a * odd_a;
    made[3 * step] = even_b + b * odd_b;
    made[4 * step] = even_b - b * odd_b;
    made[5 * step] = aa * bb * d1 - (aa + bb) * d3 + d5;
  }
  template <class T>
  static void output(const T* m, size_t step, T* made, size_t made_step) {
    T sum_a = m[step] + m[2 * step], odd_a = m[step] - m[2 * step];
    T sum_b = m[3 * step] + m[4 * step], odd_b = m[3 * step] - m[4 * step];
    made[0] = m[0] + sum_a + sum_b;
    made[made_step] = a * odd_a + b * odd_b;
    made[2 * made_step] = aa * sum_a + bb * sum_b;
    made[3 * made_step] = a * aa * odd_a + b * bb * odd_b + m[5 * step];
  }
  template <class T>
  static void weight(const T& g0, const T& g1, const T& g2, T* made, size_t step) {
    constexpr double a = Line::a, b = Line::b, aa = a * a, bb = b * b;
    constexpr double at_a = 1 / (2 * aa * (aa - bb)), at_b = 1 / (2 * bb * (bb - aa));
    T even_a = (g0 + aa * g2) * at_a, odd_a = a * at_a * g1, even_b = (g0 + bb * g2) * at_b, odd_b = b * at_b * g1;
    made[0] = g0 * (1 / (aa * bb));
    made[step] = even_a + odd_a;
    made[2 * step] = even_a - odd_a;
    made[3 * step] = even_b + odd_b;
    made[4 * step] = even_b - odd_b;
    made[5 * step] = g2;
  }
};

template <>
struct Line<2> {
  template <class T>
  static void input(const T& d0, const T& d1, const T& d2, const T& d3, T* made, size_t step) {
    made[0] = d0 - d2;
    made[step] = d1 + d2;
    made[2 * step] = d2 - d1;
    made[3 * step] = d1 - d3;
  }
  template <class T>
  static void output(const T* m, size_t step, T* made, size_t made_step) {
    made[0] = m[0] + m[step] + m[2 * step];
    made[made_step] = m[step] - m[2 * step] - m[3 * step];
  }
  template <class T>
  static void weight(const T& g0, const T& g1, const T& g2, T* made, size_t step) {
    T even = (g0 + g2) * 0.5, odd = g1 * 0.5;
    made[0] = g0;
    made[step] = even + odd;
    made[2 * step] = even - odd;
    made[3 * step] = g2;
  }
};

template <size_t Tile>
struct Steps {
  static constexpr size_t kSide = Tile + 2, kPlaces = kSide * kSide;

  // From a line of `step` floats between its vectors.
  static void input_line(const float* d, size_t step, Vec* made, size_t made_step) {
    if constexpr (Tile == 4)
      Line<4>::input(load(d), load(d + step), load(d + 2 * step), load(d + 3 * step), load(d + 4 * step), load(d + 5 * step), made, made_step);
    else Line<2>::input(load(d), load(d + step), load(d + 2 * step), load(d + 3 * step), made, made_step);
  }
  static void input_line(const Vec* d, Vec* made) {
    if constexpr (Tile == 4) Line<4>::input(d[0], d[1], d[2], d[3], d[4], d[5], made, 1);
    else Line<2>::input(d[0], d[1], d[2], d[3], made, 1);
  }

  // In double precision, so that it rounds once.
  static void weights(const float* weight, size_t in, size_t out, size_t panel, float* made, size_t place) {
    size_t lanes = std::min(kPanel, out - panel * kPanel);
    const float* from = weight + panel * kPanel * in * 9;
    Doubles g[kLanes * 9][kPanel / kPart] = {};
    for (size_t channel = 0; channel < in; channel += kLanes) {
      size_t count = std::min(kLanes, in - channel);
      if (count < kLanes) std::memset(g, 0, sizeof g);
      for (size_t lane = 0; lane < lanes; ++lane) {
        const float* row = from + (lane * in + channel) * 9;
        for (size_t i = 0; i < count * 9; ++i) g[i][lane / kPart][lane % kPart] = row[i];
      }
      for (size_t i = 0; i < kLanes; ++i, made += kPanel) {
        for (size_t part = 0; part < kPanel / kPart; ++part) {
          Doubles half[kSide * 3], whole[kSide];
#pragma GCC unroll 3
          for (size_t x = 0; x < 3; ++x) Line<Tile>::weight(g[i * 9 + x][part], g[i * 9 + 3 + x][part], g[i * 9 + 6 + x][part], half + x, 3);
#pragma GCC unroll 6
          for (size_t y = 0; y < kSide; ++y) {
            Line<Tile>::weight(half[y * 3], half[y * 3 + 1], half[y * 3 + 2], whole, 1);
#pragma GCC unroll 6
            for (size_t x = 0; x < kSide; ++x) {
              auto rounded = __builtin_convertvector(whole[x], Halves);
              std::memcpy(made + (y * kSide + x) * place + part * kPart, &rounded, sizeof rounded);
            }
          }
        }
      }
    }
  }

  // The parts of a strip that lie in one image: (image, first and last row of tiles in it, tiles before it).
  template <class Part>
  static void each_image(const Strip& strip, Part part) {
    size_t high = (strip.image.height + Tile - 1) / Tile, wide = (strip.image.width + Tile - 1) / Tile;
    for (size_t row = strip.first; row < strip.last;) {
      size_t image = row / high, first = row % high, last = std::min(high, first + strip.last - row);
      part(image, first, last, (row - strip.first) * wide);
      row += last - first;
    }
  }

  static void input(const Strip& strip, const float* x, size_t group, float* made, size_t place, Floats& scratch) {
    size_t height = strip.image.height, width = strip.image.width, plane = height * width, wide = (width + Tile - 1) / Tile;
    size_t columns = wide * Tile + 2, channels = std::min(kLanes, strip.channels - group * kLanes);
    each_image(strip, [&](size_t image, size_t first, size_t last, size_t tile) {
      // The rows that these tiles see, channels last, zeros around them.
      size_t rows = (last - first) * Tile + 2, top = first * Tile;  // row 0 is row top - 1 of the image
      scratch.assign(rows * columns * kLanes, 0.0f);
      const float* from = x + (image * strip.channels + group * kLanes) * plane;
      size_t begin = top ? top - 1 : 0, end = std::min(height, top + rows - 1);
      float* to = scratch.data() + ((begin + 1 - top) * columns + 1) * kLanes;
      size_t column = 0;
      for (size_t pixel = begin * width; pixel < end * width; pixel += kLanes) {
        size_t count = std::min(kLanes, end * width - pixel);
        Vec square[kLanes];
        if (count == kLanes && channels == kLanes) {
#pragma GCC unroll 16
          for (size_t i = 0; i < kLanes; ++i) square[i] = load(from + i * plane + pixel);
        } else {
          std::memset(square, 0, sizeof square);
          for (size_t i = 0; i < channels; ++i) std::memcpy(&square[i], from + i * plane + pixel, count * sizeof(float));
        }
        transpose(square);
        for (size_t i = 0; i < count; ++i) {
          store(to, square[i]), to += kLanes;
          if (++column == width) column = 0, to += (columns - width) * kLanes;
        }
      }
      float* out = made + tile * kLanes;
      for (size_t row = 0; row < last - first; ++row) {
        const float* at = scratch.data() + row * Tile * columns * kLanes;
        for (size_t i = 0; i < wide; ++i, at += Tile * kLanes, out += kLanes) {
          Vec half[kPlaces], whole[kSide];
#pragma GCC unroll 6
          for (size_t j = 0; j < kSide; ++j) input_line(at + j * kLanes, columns * kLanes, half + j, kSide);
#pragma GCC unroll 6
          for (size_t j = 0; j < kSide; ++j) {
            input_line(half + j * kSide, whole);
#pragma GCC unroll 6
            for (size_t k = 0; k < kSide; ++k) store(out + (j * kSide + k) * place, whole[k]);
          }
        }
      }
    });
  }

  static void output(const Strip& strip, const float* summed, size_t place, const float* bias, size_t group, float* made, Floats& scratch) {
    size_t height = strip.image.height, width = strip.image.width, plane = height * width, wide = (width + Tile - 1) / Tile;
    size_t columns = wide * Tile, channels = std::min(kLanes, strip.channels - group * kLanes);
    Vec added{};
    if (bias) std::memcpy(&added, bias + group * kLanes, channels * sizeof(float));
    each_image(strip, [&](size_t image, size_t first, size_t last, size_t tile) {
      scratch.resize((last - first) * Tile * columns * kLanes);
      const float* in = summed + tile * kLanes;
      for (size_t row = 0; row < last - first; ++row) {
        float* at = scratch.data() + row * Tile * columns * kLanes;
        for (size_t i = 0; i < wide; ++i, at += Tile * kLanes, in += kLanes) {
          Vec half[Tile * kSide];
#pragma GCC unroll 6
          for (size_t j = 0; j < kSide; ++j) {
            Vec line[kSide];
#pragma GCC unroll 6
            for (size_t k = 0; k < kSide; ++k) line[k] = load(in + (k * kSide + j) * place);
            Line<Tile>::output(line, 1, half + j, kSide);
          }
#pragma GCC unroll 4
          for (size_t j = 0; j < Tile; ++j) {
            Vec whole[Tile];
            Line<Tile>::output(half + j * kSide, 1, whole, 1);
#pragma GCC unroll 4
            for (size_t k = 0; k < Tile; ++k) store(at + (j * columns + k) * kLanes, whole[k] + added);
          }
        }
      }
      float* to = made + (image * strip.channels + group * kLanes) * plane;
      const float* from = scratch.data();
      size_t column = 0, end = std::min(height, last * Tile) * width;
      for (size_t pixel = first * Tile * width; pixel < end; pixel += kLanes) {
        size_t count = std::min(kLanes, end - pixel);
        Vec square[kLanes];
        if (count < kLanes) std::memset(square, 0, sizeof square);
        for (size_t i = 0; i < count; ++i) {
          square[i] = load(from), from += kLanes;
          if (++column == width) column = 0, from += (columns - width) * kLanes;
        }
        transpose(square);
        if (count == kLanes && channels == kLanes) {
#pragma GCC unroll 16
          for (size_t i = 0; i < kLanes; ++i) store(to + i * plane + pixel, square[i]);
        } else {
          for (size_t i = 0; i < channels; ++i) std::memcpy(to + i * plane + pixel, &square[i], count * sizeof(float));
        }
      }
    });
  }
};

// Some tiles by a panel: sums stay in registers for as many channels as round off little, then join those before.
template <size_t Rows>
void multiply_rows(const float* x, const float* weights, size_t tiles, size_t depth, float* made) {
  for (size_t begin = 0; begin < depth; begin += kChain) {
    Vec sums[Rows][kVectors] = {};
    for (size_t group = begin; group < std::min(depth, begin + kChain); group += kLanes, x += tiles * kLanes) {
#pragma GCC unroll 4
      for (size_t lane = 0; lane < kLanes; ++lane, weights += kPanel) {
        Vec first = load(weights), second = load(weights + kLanes);
        __builtin_prefetch(weights + 16 * kPanel);
#pragma GCC unroll 16
        for (size_t row = 0; row < Rows; ++row) {
          sums[row][0] += x[row * kLanes + lane] * first;
          sums[row][1] += x[row * kLanes + lane] * second;
        }
      }
    }
#pragma GCC unroll 16
    for (size_t row = 0; row < Rows; ++row) {
      float *one = made + row * kLanes, *other = made + (tiles + row) * kLanes;
      store(one, begin ? load(one) + sums[row][0] : sums[row][0]);
      store(other, begin ? load(other) + sums[row][1] : sums[row][1]);
    }
  }
}

template <size_t... I>
constexpr auto by_rows(std::index_sequence<I...>) {
  return std::array{&multiply_rows<I + 1>...};
}

inline void multiply(const float* x, const float* weights, size_t tiles, size_t depth, float* made) {
  static constexpr auto kBlocks = by_rows(std::make_index_sequence<kRows>());
  size_t blocks = (tiles + kRows - 1) / kRows;  // of almost the same height
  for (size_t i = 0, at = 0; i < blocks; ++i) {
    size_t rows = (tiles - at) / (blocks - i);
    kBlocks[rows - 1](x + at * kLanes, weights, tiles, depth, made + at * kLanes);
    at += rows;
  }
}

template <size_t Tile>
inline const WinogradKernel kSteps = {kLanes, kPanel, Steps<Tile>::weights, Steps<Tile>::input, multiply, Steps<Tile>::output};
