// The Python face of linear layers in bfloat16: functions of enfold._native.
//
// Addresses instead of arrays: a step of generation calls these hundreds of times, and torch's DLPack takes longer than a
// small product does. Whoever calls holds the tensors and has checked them.
#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>

#include <string>

#include "nn/amx.hpp"
#include "nn/bfloat16.hpp"

namespace enfold::nn {
namespace {

namespace nb = nanobind;
using namespace nb::literals;

const uint16_t* halves(size_t address) { return reinterpret_cast<const uint16_t*>(address); }

void demand(bool fits) {
  if (!has_tiles(TileNumbers::Bfloat16)) throw std::runtime_error("this processor has no AMX for bfloat16");
  if (!fits) throw nb::value_error("the layer has no size that tiles fit");
}

void linear(size_t x, size_t rows, size_t weight, size_t bias, size_t in, size_t out, bool input_first, const std::string& then,
            size_t made, size_t threads) {
  demand(rows && in && in % 32 == 0 && out >= 32 && (!input_first || rows > 32 || out % 32 == 0));
  Activation after = activation_named(then);
  nb::gil_scoped_release released;
  multiply({halves(weight), halves(bias), in, out, input_first}, halves(x), rows, after, reinterpret_cast<uint16_t*>(made), threads);
}

void transposed(size_t a, size_t b, size_t rows, size_t left, size_t right, size_t made, size_t sums, size_t threads) {
  demand(rows && left && right && left % 32 == 0 && right % 32 == 0);
  nb::gil_scoped_release released;
  multiply_transposed(halves(a), halves(b), rows, left, right, reinterpret_cast<float*>(made), reinterpret_cast<float*>(sums), threads);
}

}  // namespace
}  // namespace enfold::nn

void register_bfloat16(nanobind::module_& module) {
  using namespace enfold::nn;
  module.def("has_amx", [] { return has_tiles(TileNumbers::Bfloat16); }, "Whether this process may use AMX for bfloat16.");
  module.def("bfloat16_linear", &linear, "x"_a, "rows"_a, "weight"_a, "bias"_a, "inputs"_a, "outputs"_a, "input_first"_a, "then"_a,
             "made"_a, "threads"_a, "Writes then(x · weight + bias) to `made`; arrays by their addresses, a bias of 0 is none.");
  module.def("bfloat16_transposed", &transposed, "a"_a, "b"_a, "rows"_a, "left"_a, "right"_a, "made"_a, "sums"_a, "threads"_a,
             "Writes aᵀ · b, in single precision, to `made` and the sums of a's columns to `sums`; by their addresses, 0 for no sums.");
}
