// The Python face of layers in eight bits: enfold._native.Int8Weight and Int8Block. Calls that come once a layer and token take
// addresses, for which enfold.nn answers: a tensor's other ways out of torch cost as much as the product of a small layer.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <string>
#include <tuple>

#include "nn/int8.hpp"
#include "nn/int8_block.hpp"

namespace enfold::nn {
namespace {

namespace nb = nanobind;
using namespace nb::literals;

using RoundedWeight = nb::ndarray<const int8_t, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using Unpacked = nb::ndarray<int8_t, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using Steps = nb::ndarray<const float, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

const float* floats(size_t address) { return reinterpret_cast<const float*>(address); }

using PyNorm = std::tuple<size_t, size_t, float>;        // addresses of weight and bias (0: none), epsilon
using PyLayer = std::tuple<const Int8Weight*, size_t>;  // weight, address of its bias (0: none)

using PyStep = std::tuple<const Int8Block*, std::tuple<size_t, size_t, size_t, size_t, size_t>, std::tuple<size_t, size_t, size_t, size_t, size_t, size_t, size_t>>;

Norm norm_of(const PyNorm& norm) { return {floats(std::get<0>(norm)), floats(std::get<1>(norm)), std::get<2>(norm)}; }
Layer layer_of(const PyLayer& layer) { return {std::get<0>(layer), floats(std::get<1>(layer))}; }

}  // namespace
}  // namespace enfold::nn

void register_int8(nanobind::module_& module) {
  using namespace enfold::nn;
  nb::class_<Int8Weight>(module, "Int8Weight", "The weight of a linear layer in eight bits, packed.")
      .def(
          "__init__",
          [](Int8Weight* self, RoundedWeight rounded, Steps steps, const std::string& kernel) {
            const Int8Kernel* chosen = int8_kernel(kernel);
            if (!chosen) throw nb::value_error("this processor has no such kernel");
            if (steps.shape(0) != rounded.shape(0)) throw nb::value_error("there is a step for each output");
            if (!rounded.size() || rounded.shape(1) > kMostInputs) throw nb::value_error("a weight has outputs, and 1 to 66,000 inputs");
            nb::gil_scoped_release released;
            new (self) Int8Weight(*chosen, rounded.data(), steps.data(), rounded.shape(0), rounded.shape(1));
          },
          "rounded"_a.noconvert(), "steps"_a.noconvert(), "kernel"_a = "")
      .def(
          "apply",
          [](const Int8Weight& self, size_t x, size_t rows, bool narrow, size_t bias, size_t made, const std::string& after, size_t threads) {
            Activation then = activation_named(after);
            nb::gil_scoped_release released;
            self.apply(reinterpret_cast<const void*>(x), rows, narrow, floats(bias), reinterpret_cast<void*>(made), then, threads);
          },
          "x"_a, "rows"_a, "narrow"_a, "bias"_a, "made"_a, "after"_a = "none", "threads"_a = 1,
          "Writes the product of x (rows, in) to made (rows, out), both contiguous and float32 or, where narrow, bfloat16; bias is of float32, or 0.")
      .def(
          "unpack",
          [](const Int8Weight& self, Unpacked rounded) {
            if (rounded.shape(0) != self.out() || rounded.shape(1) != self.in()) throw nb::value_error("the weight has another shape");
            self.unpack(rounded.data());
          },
          "rounded"_a.noconvert(), "Writes the rounded weight (out, in).")
      .def_prop_ro("nbytes", &Int8Weight::bytes);
  nb::class_<Int8Block>(module, "Int8Block", "A decoder's layer in eight bits, for one token a row; its maker keeps what it points to.")
      .def(
          "__init__",
          [](Int8Block* self, PyNorm before, PyNorm between, const std::vector<PyLayer>& inputs, PyLayer output, std::optional<PyLayer> gate, PyLayer up,
             PyLayer down, const std::string& after, size_t heads, size_t kept_heads, size_t dim, float scale) {
            BlockParts parts{norm_of(before), norm_of(between), {}, layer_of(output), {}, layer_of(up), layer_of(down), activation_named(after), heads, kept_heads, dim, scale};
            for (const PyLayer& layer : inputs) parts.inputs.push_back(layer_of(layer));
            if (gate) parts.gate = layer_of(*gate);
            if (inputs.empty()) throw nb::value_error("queries, keys and values come from one layer or three");
            new (self) Int8Block(std::move(parts));
          },
          "before"_a, "between"_a, "inputs"_a, "output"_a, "gate"_a.none(), "up"_a, "down"_a, "after"_a, "heads"_a, "kept_heads"_a, "dim"_a, "scale"_a)
      .def_prop_ro("width", &Int8Block::width);
  module.def(
      "step_int8_blocks",
      [](const std::vector<PyStep>& steps, size_t x, size_t made, size_t rows, size_t threads) {
        nb::gil_scoped_release released;
        const float* from = floats(x);
        for (const auto& [block, place, sight] : steps) {
          auto [keys, values, row_step, head_step, token_step] = place;
          auto [cos, sin, angle_step, half, mask, mask_step, position] = sight;
          block->step({from, reinterpret_cast<float*>(made), rows, floats(cos), floats(sin), angle_step, half, reinterpret_cast<float*>(keys),
                       reinterpret_cast<float*>(values), row_step, head_step, token_step, position, reinterpret_cast<const uint8_t*>(mask), mask_step},
                      threads);
          from = reinterpret_cast<const float*>(made);
        }
      },
      "steps"_a, "x"_a, "made"_a, "rows"_a, "threads"_a = 1,
      "Writes x (rows, width) after some layers to made, and keys and values to their places; each step is a block, (keys, values, between rows, heads and "
      "positions), and (cosines, sines, between their rows, how many, mask, between its rows, position); see native/nn/int8_block.hpp.");
  module.def(
      "int8_kernels",
      [] {
        std::vector<std::string> names;
        for (std::string_view name : int8_kernels()) names.emplace_back(name);
        return names;
      },
      "Names of the kernels for eight bits that this processor has, the best first.");
}
