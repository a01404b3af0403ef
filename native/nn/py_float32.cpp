// The Python face of products in single precision: functions of enfold._native. Arrays come by their addresses, as those of
// py_bfloat16.cpp do.
#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>

#include <string>
#include <tuple>

#include "nn/float32.hpp"

namespace enfold::nn {
namespace {

namespace nb = nanobind;
using namespace nb::literals;

const float* floats(size_t address) { return reinterpret_cast<const float*>(address); }

void demand() {
  if (!has_float32()) throw std::runtime_error("this processor has no AVX2, or better ways to multiply");
}

template <class T>
void multiply(size_t x, size_t rows, size_t weight, size_t bias, size_t onto, size_t in, size_t out, Activation then, size_t made, size_t threads) {
  auto at = [](size_t address) { return reinterpret_cast<const T*>(address); };
  multiply(Float32Product<T>{at(x), at(weight), at(bias), at(onto), reinterpret_cast<T*>(made), rows, in, out, then}, threads);
}

void linear(bool halves, size_t x, size_t rows, size_t weight, size_t bias, size_t onto, size_t in, size_t out, const std::string& then,
            size_t made, size_t threads) {
  demand();
  Activation after = activation_named(then);
  nb::gil_scoped_release released;
  (halves ? multiply<uint16_t> : multiply<float>)(x, rows, weight, bias, onto, in, out, after, made, threads);
}

// Where heads lie: batch, heads, tokens, width, and the floats from one to the next of the first three.
using Place = std::tuple<size_t, size_t, size_t, size_t, int64_t, int64_t, int64_t>;

Heads heads(const Place& place) { return std::make_from_tuple<Heads>(place); }

void attention(size_t query, const Place& queries, size_t key, const Place& keys, size_t value, const Place& values, size_t mask, size_t by_mask,
               float scale, size_t made, size_t threads) {
  demand();
  nb::gil_scoped_release released;
  attend({floats(query), floats(key), floats(value), heads(queries), heads(keys), heads(values), reinterpret_cast<const uint8_t*>(mask), by_mask,
          scale, reinterpret_cast<float*>(made)},
         threads);
}

}  // namespace
}  // namespace enfold::nn

void register_float32(nanobind::module_& module) {
  using namespace enfold::nn;
  module.def("has_float32", &has_float32, "Whether this process multiplies in single precision on AVX2.");
  module.def("float32_linear", &linear, "halves"_a, "x"_a, "rows"_a, "weight"_a, "bias"_a, "onto"_a, "inputs"_a, "outputs"_a, "then"_a, "made"_a,
             "threads"_a, "Writes then(x · weight + bias) + onto to `made`, all in single precision or as halves (bfloat16); arrays by their addresses, 0 for no bias or nothing to add to.");
  module.def("float32_attend", &attention, "query"_a, "queries"_a, "key"_a, "keys"_a, "value"_a, "values"_a, "mask"_a, "by_mask"_a, "scale"_a,
             "made"_a, "threads"_a,
             "Writes softmax(query · keyᵀ · scale) · value to `made` (batch, tokens, heads, width); arrays by their addresses, and where their heads lie.");
}
