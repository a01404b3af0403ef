// Functions of vectors of kLanes floats, the activations among them.
//
// Included by one source file per instruction set, inside its own namespace, which defines kLanes.

typedef float Vec __attribute__((vector_size(4 * kLanes)));
typedef int32_t Whole __attribute__((vector_size(4 * kLanes)));

inline Vec load(const float* at) {
  Vec value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

inline Whole load(const int32_t* at) {
  Whole value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

inline void store(float* at, const Vec& value) { std::memcpy(at, &value, sizeof value); }

inline Vec filled(float value) { return value - Vec{}; }
inline Vec least(const Vec& a, const Vec& b) { return a < b ? a : b; }
inline Vec most(const Vec& a, const Vec& b) { return a > b ? a : b; }
inline Vec converted(const Whole& value) { return __builtin_convertvector(value, Vec); }
inline Whole bits(const Vec& value) { return (Whole)value; }

// Nearest integers of numbers below 2^22, halves to the even one: adding 1.5 · 2^23 leaves no room for a fraction.
inline Vec nearest(const Vec& value) {
  Vec shifted = value + 12582912.0f;
  return shifted - 12582912.0f;
}

// To a unit of the last place or two (the polynomial is that of the Cephes library), 0 below e^-87, infinite above e^88.37.
inline Vec exponential(const Vec& given) {
  Vec x = most(least(given, filled(88.37f)), filled(-87.33f));
  Vec n = nearest(x * 1.44269504f);
  Vec r = x - n * 0.693359375f;
  r = r + n * 2.12194440e-4f;
  Vec y = r * 1.9875691500e-4f + 1.3981999507e-3f;
  y = y * r + 8.3334519073e-3f;
  y = y * r + 4.1665795894e-2f;
  y = y * r + 1.6666665459e-1f;
  y = y * r + 5.0000001201e-1f;
  y = y * r * r + r + 1.0f;
  Whole power = (__builtin_convertvector(n, Whole) + 127) << 23;
  Vec made = y * (Vec)power;
  made = given > 88.37f ? filled(std::numeric_limits<float>::infinity()) : made;
  return given < -87.33f ? Vec{} : made;
}

inline Vec sigmoid(const Vec& x) { return 1.0f / (1.0f + exponential(-x)); }

inline Vec tangent(const Vec& x) {
  Vec large = 2.0f * sigmoid(2.0f * x) - 1.0f, square = x * x;
  // Near zero that difference loses digits; the series does not.
  Vec small = x * (1.0f + square * (-0.333333333f + square * (0.133333333f - square * 0.0539682540f)));
  return square < 0.04f ? small : (x == x ? large : x);
}

// x times the share of the normal distribution below x, to 1e-6. That share is 0.5 + x · p(x²) with a polynomial p that was
// fitted to it between 0 and 5.2 (least squares, weighted until the errors were alike), in v = 2 (x / 5.2)² - 1.
inline Vec gelu(const Vec& x) {
  constexpr float kEdge = 5.2f;
  constexpr float kTerms[] = {0.000202368334f, -0.000562282396f, 0.000600830652f, -0.000978539698f, 0.00266235112f, -0.00506734056f, 0.00801014807f,
                              -0.0123533746f, 0.0181339029f, -0.0247634463f, 0.0319623277f, -0.0399253964f, 0.0500261113f, -0.067743808f,
                              0.135949984f};
  Vec inside = most(least(x, filled(kEdge)), filled(-kEdge)), v = inside * inside * (2 / (kEdge * kEdge)) - 1.0f;
  Vec p = filled(kTerms[0]);
#pragma GCC unroll 16
  for (size_t i = 1; i < std::size(kTerms); ++i) p = p * v + kTerms[i];
  Vec share = x < -kEdge ? Vec{} : 0.5f + inside * p;
  return x * share;
}

template <Activation Then>
inline Vec activated(const Vec& x) {
  if constexpr (Then == Activation::Gelu) return gelu(x);
  if constexpr (Then == Activation::TanhGelu) return x * sigmoid(1.5957691216f * (x + 0.044715f * x * x * x));
  if constexpr (Then == Activation::Relu) return x < 0.0f ? Vec{} : x;
  if constexpr (Then == Activation::Silu) return x * sigmoid(x);
  if constexpr (Then == Activation::Tanh) return tangent(x);
  return x;
}
