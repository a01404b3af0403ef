// Few tokens at a time, for vectors of kLanes floats.
//
// Included by one source file per instruction set, inside its own namespace, which defines kLanes, kColumns and kRows: how
// many columns and rows are multiplied at a time, so that their sums fill the registers.

typedef float Vec __attribute__((vector_size(4 * kLanes)));
typedef int32_t Ints __attribute__((vector_size(4 * kLanes)));

inline Vec load(const float* at) {
  Vec value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

inline Vec load(const float* at, size_t count) {
  if (count == kLanes) return load(at);
  Vec value{};
  std::memcpy(&value, at, count * sizeof(float));
  return value;
}

inline void store(float* at, const Vec& value) { std::memcpy(at, &value, sizeof value); }

// One of four lanes out of a, then of b: the lower or upper two in turns, or as pairs.
template <size_t From, size_t... I>
inline Vec in_turns(const Vec& a, const Vec& b, std::index_sequence<I...>) {
  return __builtin_shufflevector(a, b, int(I / 4 * 4 + From + I % 4 / 2 + I % 2 * kLanes)...);
}

template <size_t From, size_t... I>
inline Vec in_pairs(const Vec& a, const Vec& b, std::index_sequence<I...>) {
  return __builtin_shufflevector(a, b, int(I / 4 * 4 + From + I % 2 + I % 4 / 2 * kLanes)...);
}

// The sums of four vectors.
inline void sums_of(const Vec& a, const Vec& b, const Vec& c, const Vec& d, float* made) {
  constexpr auto lanes = std::make_index_sequence<kLanes>();
  Vec ab = in_turns<0>(a, b, lanes) + in_turns<2>(a, b, lanes), cd = in_turns<0>(c, d, lanes) + in_turns<2>(c, d, lanes);
  Vec all = in_pairs<0>(ab, cd, lanes) + in_pairs<2>(ab, cd, lanes);
  typedef float Four __attribute__((vector_size(16)));
  Four parts[kLanes / 4];
  std::memcpy(parts, &all, sizeof all);
  for (size_t i = kLanes / 4; i > 1; i /= 2)
    for (size_t j = 0; j < i / 2; ++j) parts[j] += parts[j + i / 2];
  std::memcpy(made, parts, 16);
}

inline float sum_of(const Vec& a) {
  float sums[4];
  sums_of(a, a, a, a, sums);
  return sums[0];
}

// A tile of products: `Columns` weights by `Rows` rows, each sum made lane by lane. Reads what comes next ahead of time.
template <size_t Columns, size_t Rows>
void tile(const float* x, int64_t by_row, const float* weight, int64_t by_column, size_t in, const float* next, size_t pass, size_t passes,
          float (*made)[4]) {
  Vec sums[Rows][4] = {};
  size_t i = 0;
  for (; i + kLanes <= in; i += kLanes) {
    Vec columns[Columns];
#pragma GCC unroll 4
    for (size_t column = 0; column < Columns; ++column) columns[column] = load(weight + column * by_column + i);
    for (size_t column = pass; column < Columns; column += passes) __builtin_prefetch(next + column * by_column + i, 0, 2);
#pragma GCC unroll 6
    for (size_t row = 0; row < Rows; ++row) {
      Vec value = load(x + row * by_row + i);
#pragma GCC unroll 4
      for (size_t column = 0; column < Columns; ++column) sums[row][column] += value * columns[column];
    }
  }
  if (i < in) {
#pragma GCC unroll 4
    for (size_t column = 0; column < Columns; ++column) {
      Vec last = load(weight + column * by_column + i, in - i);
#pragma GCC unroll 6
      for (size_t row = 0; row < Rows; ++row) sums[row][column] += load(x + row * by_row + i, in - i) * last;
    }
  }
#pragma GCC unroll 6
  for (size_t row = 0; row < Rows; ++row) sums_of(sums[row][0], sums[row][1], sums[row][2], sums[row][3], made[row]);
}

using Tile = void (*)(const float*, int64_t, const float*, int64_t, size_t, const float*, size_t, size_t, float (*)[4]);

template <size_t Columns, size_t... I>
constexpr std::array<Tile, kRows> tiles_by_rows(std::index_sequence<I...>) {
  return {&tile<Columns, I + 1>...};
}

template <size_t... I>
constexpr std::array<std::array<Tile, kRows>, kColumns> tiles_by_size(std::index_sequence<I...>) {
  return {tiles_by_rows<I + 1>(std::make_index_sequence<kRows>())...};
}

inline constexpr auto kTiles = tiles_by_size(std::make_index_sequence<kColumns>());

// Calls done(row, column, sum, columns) for strips of rows × weights; what lies at `then` is read next.
template <class Done>
inline void products(const float* x, int64_t by_row, size_t rows, const float* weight, int64_t by_column, size_t first, size_t last, size_t in,
                     const float* then, Done done) {
  size_t passes = (rows + kRows - 1) / kRows;  // of almost the same height
  for (size_t column = first; column < last; column += kColumns) {
    size_t columns = std::min(kColumns, last - column);
    const float *from = weight + column * by_column, *next = column + kColumns < last ? from + kColumns * by_column : then ? then : from;
    for (size_t pass = 0, row = 0; pass < passes; ++pass) {
      size_t height = (rows - row) / (passes - pass);
      float sums[kRows][4];
      kTiles[columns - 1][height - 1](x + row * by_row, by_row, from, by_column, in, next, pass, passes, sums);
      for (size_t i = 0; i < height; ++i, ++row) done(row, column, sums[i], columns);
    }
  }
}

inline void multiply(const RowsProduct& p, size_t first, size_t last) {
  products(p.x, p.in, p.rows, p.weight, p.in, first, last, p.in, p.then, [&](size_t row, size_t column, const float* sums, size_t columns) {
    float* to = p.made + row * p.out + column;
    for (size_t i = 0; i < columns; ++i) {
      float value = sums[i];
      if (p.bias) value += p.bias[column + i];
      if (p.onto) value += p.onto[row * p.out + column + i];
      to[i] = value;
    }
  });
}

inline void norm(const float* x, const float* weight, float eps, float* made, size_t rows, size_t width) {
  for (size_t row = 0; row < rows; ++row, x += width, made += width) {
    Vec squares[2] = {};
    size_t i = 0;
    for (; i + 2 * kLanes <= width; i += 2 * kLanes) {
      Vec one = load(x + i), other = load(x + i + kLanes);
      squares[0] += one * one, squares[1] += other * other;
    }
    for (; i < width; i += kLanes) {
      Vec one = load(x + i, std::min(kLanes, width - i));
      squares[0] += one * one;
    }
    float scale = 1.0f / std::sqrt(sum_of(squares[0] + squares[1]) / float(width) + eps);
    for (i = 0; i + kLanes <= width; i += kLanes) store(made + i, load(weight + i) * (load(x + i) * scale));
    for (; i < width; ++i) made[i] = weight[i] * (x[i] * scale);
  }
}

// Powers of e, to two units in the last place; what is below the least number becomes zero, infinity above the greatest.
inline Vec exponential(Vec x) {
  constexpr float kLeast = -87.3f, kMost = 88.7f, kRound = 12582912.0f;  // 1.5 · 2²³
  Ints below = x < kLeast, above = x > kMost;
  Vec value = below ? Vec{} + kLeast : x;
  value = above ? Vec{} + kMost : value;
  Vec whole = (value * 1.44269504f + kRound) - kRound;
  Vec rest = value - whole * 0.693359375f + whole * 2.12194440e-4f;
  Vec sum = 1.9875691500e-4f * rest + 1.3981999507e-3f;
  sum = sum * rest + 8.3334519073e-3f;
  sum = sum * rest + 4.1665795894e-2f;
  sum = sum * rest + 1.6666665459e-1f;
  sum = sum * rest + 5.0000001201e-1f;
  sum = sum * rest * rest + rest + 1.0f;
  // 2 to the whole part in two steps, since 2¹²⁸ is no float.
  Ints power = __builtin_convertvector(whole, Ints), half = power >> 1;
  Ints one = (half + 127) << 23, other = (power - half + 127) << 23;
  Vec first, second;
  std::memcpy(&first, &one, sizeof first);
  std::memcpy(&second, &other, sizeof second);
  sum = sum * first * second;
  sum = below ? Vec{} : sum;
  sum = above ? Vec{} + HUGE_VALF : sum;
  return x == x ? sum : x;
}

inline void gate(const float* gate, const float* up, float* made, size_t count) {
  for (size_t i = 0; i < count; i += kLanes) {
    size_t some = std::min(kLanes, count - i);
    Vec value = load(gate + i, some), product = value / (1.0f + exponential(-value)) * load(up + i, some);
    std::memcpy(made + i, &product, some * sizeof(float));
  }
}

inline void rotate(const Heads& heads, const float* x, const float* cos, const float* sin, size_t half, bool shared, const Heads& to, float* made) {
  for (size_t batch = 0; batch < heads.batch; ++batch)
    for (size_t token = 0; token < heads.tokens; ++token) {
      size_t place = (shared ? token : batch * heads.tokens + token) * half;
      for (size_t head = 0; head < heads.heads; ++head) {
        const float* from = x + batch * heads.by_batch + head * heads.by_head + token * heads.by_token;
        float* out = made + batch * to.by_batch + head * to.by_head + token * to.by_token;
        for (size_t i = 0; i < half; ++i) {
          float c = cos[place + i], s = sin[place + i], first = from[i], second = from[half + i];
          out[i] = first * c - second * s;
          out[half + i] = second * c + first * s;
        }
        std::memcpy(out + 2 * half, from + 2 * half, (heads.width - 2 * half) * sizeof(float));
      }
    }
}

inline void attend(const float* query, int64_t by_query, size_t group, size_t width, const float* keys, const float* values, const Run* runs,
                   size_t count, float scale, float* made) {
  static thread_local std::vector<float> memory;
  size_t length = 0;
  for (size_t i = 0; i < count; ++i) length += runs[i].count;
  size_t padded = (length + kLanes - 1) / kLanes * kLanes;
  memory.resize(group * padded);
  float* shares = memory.data();
  for (size_t i = 0, place = 0; i < count; place += runs[i++].count)
    products(query, by_query, group, keys + runs[i].first * width, width, 0, runs[i].count, width, nullptr,
             [&](size_t row, size_t column, const float* sums, size_t columns) {
               for (size_t j = 0; j < columns; ++j) shares[row * padded + place + column + j] = sums[j] * scale;
             });
  for (size_t row = 0; row < group; ++row) {
    float *line = shares + row * padded, most = line[0];
    for (size_t i = 1; i < length; ++i) most = std::max(most, line[i]);
    for (size_t i = length; i < padded; ++i) line[i] = -HUGE_VALF;
    Vec total{};
    for (size_t i = 0; i < padded; i += kLanes) {
      Vec share = exponential(load(line + i) - most);
      total += share;
      store(line + i, share);
    }
    float whole = 1.0f / sum_of(total);
    constexpr size_t kWide = 4;
    for (size_t column = 0; column < width; column += kWide * kLanes) {
      size_t wide = std::min(kWide, (width - column) / kLanes);
      Vec sums[kWide] = {};
      const float* share = line;
      for (size_t i = 0; i < count; ++i) {
        const float* from = values + runs[i].first * width + column;
        if (wide == kWide) {
          for (int64_t j = 0; j < runs[i].count; ++j, from += width, ++share) {
#pragma GCC unroll 4
            for (size_t k = 0; k < kWide; ++k) sums[k] += *share * load(from + k * kLanes);
          }
        } else {
          for (int64_t j = 0; j < runs[i].count; ++j, from += width, ++share)
            for (size_t k = 0; k < wide; ++k) sums[k] += *share * load(from + k * kLanes);
        }
      }
      for (size_t k = 0; k < wide; ++k) store(made + row * width + column + k * kLanes, sums[k] * whole);
    }
  }
}

inline constexpr RowsKernel kSteps = {multiply, norm, gate, rotate, attend};
