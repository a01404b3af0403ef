#include "nn/int8.hpp"

#include <algorithm>
#include <cstring>

#include "nn/amx.hpp"
#include "nn/chunks.hpp"
#include "simd.hpp"
#include "tokenizer/threads.hpp"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace enfold::nn {
namespace {

size_t up(size_t value, size_t step) { return (value + step - 1) / step * step; }

// Products below this many are not worth waking threads for.
constexpr size_t kShared = size_t(1) << 20;

// AVX2's own VNNI; leaf 7.1 of Intel's manual.
bool has_avxvnni() {
#if defined(__x86_64__)
  unsigned a = 0, b = 0, c = 0, d = 0;
  return __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a >> 4 & 1);
#else
  return false;
#endif
}

std::vector<const Int8Kernel*> measure() {
  std::vector<const Int8Kernel*> found;
#if defined(__x86_64__) && defined(__GNUC__)
  if (simd() == Simd::Avx512 && __builtin_cpu_supports("avx512vnni")) {
    if (has_tiles(TileNumbers::Int8)) found.push_back(int8_amx());
    found.push_back(int8_avx512());
  }
  if (simd() != Simd::Portable && __builtin_cpu_supports("fma")) {
    if (has_avxvnni()) found.push_back(int8_avxvnni());
    found.push_back(int8_avx2());
  }
#endif
  found.push_back(int8_portable());
  return found;
}

const std::vector<const Int8Kernel*>& kernels() {
  static const std::vector<const Int8Kernel*> found = measure();
  return found;
}

}  // namespace

const Int8Kernel* int8_kernel(std::string_view name) {
  for (const Int8Kernel* kernel : kernels())
    if (name.empty() || kernel->name == name) return kernel;
  return nullptr;
}

std::vector<std::string_view> int8_kernels() {
  std::vector<std::string_view> names;
  for (const Int8Kernel* kernel : kernels()) names.push_back(kernel->name);
  return names;
}

void Rounding::begin(const Int8Kernel& kernel, size_t rows, size_t depth) {
  rows_ = rows, depth_ = depth;
  // An odd number of cache lines from row to row, so that the rows of a tile do not push each other out.
  stride_ = depth / kDeep % 2 ? depth : depth + kDeep;
  size_t room = kernel.tiles ? up(rows, 32) : rows;
  if (bytes_.size() < room * stride_) bytes_.resize(room * stride_);
  if (steps_.size() < rows) steps_.resize(rows), zeros_.resize(rows);
}

void Rounding::row(const Int8Kernel& kernel, size_t index, const float* x, size_t width) {
  kernel.round(x, width, depth_, bytes_.data() + index * stride_, steps_[index], zeros_[index]);
}

void multiply(const Int8Kernel& kernel, const Product& product, size_t threads) {
  size_t panels = up(product.weight.out, kOutputs) / kOutputs, pairs = (panels + 1) / 2;
  size_t parts = product.x.rows * product.weight.depth * product.weight.out < kShared ? 1 : std::min(threads, pairs);
  if (parts < 2) return kernel.multiply(product, 0, panels);
  parallel(parts, threads, [&](size_t part) {
    kernel.multiply(product, std::min(panels, 2 * (pairs * part / parts)), std::min(panels, 2 * (pairs * (part + 1) / parts)));
  });
}

Int8Weight::Int8Weight(const Int8Kernel& kernel, const int8_t* rounded, const float* steps, size_t out, size_t in)
    : kernel_(kernel), out_(out), in_(in), depth_(up(in, kDeep)), panels_(lent_bytes(bytes())) {
  std::memset(panels_.get(), 0, bytes());
  Weight made = weight();
  for (size_t o = 0; o < out; ++o) {
    size_t panel = o / kOutputs, lane = o % kOutputs;
    auto* at = const_cast<int8_t*>(made.panel(panel)) + lane * 4;
    const int8_t* from = rounded + o * in;
    int32_t sum = 0;
    for (size_t i = 0; i < in; ++i) at[i / 4 * 4 * kOutputs + i % 4] = from[i], sum += from[i];
    const_cast<float*>(made.steps(panel))[lane] = steps[o];
    const_cast<int32_t*>(made.sums(panel))[lane] = sum;
  }
}

void Int8Weight::unpack(int8_t* rounded) const {
  for (size_t o = 0; o < out_; ++o) {
    const int8_t* at = weight().panel(o / kOutputs) + o % kOutputs * 4;
    for (size_t i = 0; i < in_; ++i) rounded[o * in_ + i] = at[i / 4 * 4 * kOutputs + i % 4];
  }
}

void Int8Weight::apply(const void* x, size_t rows, bool narrow, const float* bias, void* made, Activation after, size_t threads) const {
  static thread_local Rounding rounding;
  static thread_local std::vector<float> wide;
  // Rows that stay in a cache with their rounded numbers while the weight passes by.
  size_t most = std::max<size_t>(64, (size_t(1) << 20) / depth_ / 32 * 32), size = narrow ? 2 : 4;
  if (narrow && wide.size() < in_) wide.resize(in_);
  for (size_t first = 0; first < rows; first += most) {
    size_t count = std::min(most, rows - first);
    rounding.begin(kernel_, count, depth_);
    Rounding& shared = rounding;  // this thread's, for all of them
    auto round = [&](size_t row, float* line) {
      const void* from = static_cast<const char*>(x) + (first + row) * in_ * size;
      if (narrow) {
        auto* halves = static_cast<const uint16_t*>(from);
        for (size_t i = 0; i < in_; ++i) {
          uint32_t bits = uint32_t(halves[i]) << 16;
          std::memcpy(line + i, &bits, 4);
        }
        from = line;
      }
      shared.row(kernel_, row, static_cast<const float*>(from), in_);
    };
    if (threads > 1 && count * in_ >= kShared / 4) {
      size_t parts = std::min(threads, count);
      parallel(parts, threads, [&](size_t part) {
        std::vector<float> line(narrow ? in_ : 0);
        for (size_t row = count * part / parts; row < count * (part + 1) / parts; ++row) round(row, line.data());
      });
    } else {
      for (size_t row = 0; row < count; ++row) round(row, wide.data());
    }
    Product product{rounding.rounded(), weight(), bias, static_cast<char*>(made) + first * out_ * size, out_, after, Join::Write, narrow};
    multiply(kernel_, product, threads);
  }
}

size_t Int8Weight::bytes() const { return up(out_, kOutputs) / kOutputs * Weight{nullptr, out_, depth_}.apart(); }

}  // namespace enfold::nn
