// The Python face of products in single precision: functions of enfold._native. Arrays come by their addresses, as those of
// py_bfloat16.cpp do.
#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>

#include <string>

#include "nn/float32.hpp"

namespace enfold::nn {
namespace {

namespace nb = nanobind;
using namespace nb::literals;

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

}  // namespace
}  // namespace enfold::nn

void register_float32(nanobind::module_& module) {
  using namespace enfold::nn;
  module.def("has_float32", &has_float32, "Whether this process multiplies in single precision on AVX2.");
  module.def("float32_linear", &linear, "halves"_a, "x"_a, "rows"_a, "weight"_a, "bias"_a, "onto"_a, "inputs"_a, "outputs"_a, "then"_a, "made"_a,
             "threads"_a, "Writes then(x · weight + bias) + onto to `made`, all in single precision or as halves (bfloat16); arrays by their addresses, 0 for no bias or nothing to add to.");
}
