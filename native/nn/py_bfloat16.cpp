// The Python face of linear layers in bfloat16: enfold._native.bfloat16_linear.
#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>

#include <array>
#include <string>

#include "nn/bfloat16.hpp"

namespace enfold::nn {
namespace {

namespace nb = nanobind;
using namespace nb::literals;

// The name and the variant that oneDNN has for each.
constexpr std::array<const char*, 6> kNames{"", "relu", "gelunone", "gelutanh", "swish", "tanh"};

// Addresses instead of arrays: a step of generation calls this hundreds of times, and torch's DLPack takes longer than a
// small product does. Whoever calls holds the tensors and has checked them.
void apply(size_t x, size_t rows, size_t weight, size_t bias, size_t in, size_t out, bool input_first, const std::string& then,
           size_t made, size_t threads) {
  if (!has_amx()) throw std::runtime_error("this processor has no AMX for bfloat16");
  if (!rows || in % 32 || out < 32 || (input_first && (out % 32 || rows > 32))) throw nb::value_error("the layer has no size that tiles fit");
  for (size_t i = 0; i < kNames.size(); ++i)
    if (then == kNames[i]) {
      nb::gil_scoped_release released;
      auto at = [](size_t address) { return reinterpret_cast<const uint16_t*>(address); };
      apply_amx({at(weight), at(bias), in, out, input_first}, at(x), rows, Activation(i), reinterpret_cast<uint16_t*>(made), threads);
      return;
    }
  throw nb::value_error("there is no such activation");
}

}  // namespace
}  // namespace enfold::nn

void register_bfloat16(nanobind::module_& module) {
  using namespace enfold::nn;
  module.def("has_amx", &has_amx, "Whether this process may use AMX for bfloat16.");
  module.def("bfloat16_linear", &apply, "x"_a, "rows"_a, "weight"_a, "bias"_a, "inputs"_a, "outputs"_a, "input_first"_a, "then"_a,
             "made"_a, "threads"_a, "Writes then(x · weight + bias) to `made`; arrays by their addresses, a bias of 0 is none.");
}
