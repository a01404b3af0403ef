// The Python face of Winograd's convolution: enfold._native.Winograd.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>

#include <optional>

#include "nn/winograd.hpp"

namespace enfold::nn {
namespace {

namespace nb = nanobind;
using namespace nb::literals;

using Weight = nb::ndarray<const float, nb::shape<-1, -1, 3, 3>, nb::c_contig, nb::device::cpu>;
using Images = nb::ndarray<const float, nb::ndim<4>, nb::c_contig, nb::device::cpu>;
using Made = nb::ndarray<float, nb::ndim<4>, nb::c_contig, nb::device::cpu>;
using Bias = nb::ndarray<const float, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

void apply(const Winograd& self, Images x, std::optional<Bias> bias, Made made, size_t threads) {
  if (x.shape(1) != self.in()) throw nb::value_error("x has another number of channels than the weight");
  if (bias && bias->shape(0) != self.out()) throw nb::value_error("bias has another number of channels than the weight");
  if (made.shape(0) != x.shape(0) || made.shape(1) != self.out() || made.shape(2) != x.shape(2) || made.shape(3) != x.shape(3))
    throw nb::value_error("the result has the shape of x, with the weight's channels");
  if (!x.size() || !made.size()) return;
  nb::gil_scoped_release released;
  self.apply(x.data(), {x.shape(0), x.shape(2), x.shape(3)}, bias ? bias->data() : nullptr, made.data(), threads);
}

}  // namespace
}  // namespace enfold::nn

void register_nn(nanobind::module_& module) {
  using namespace enfold::nn;
  nb::class_<Winograd>(module, "Winograd", "The weight of a 3 × 3 convolution (stride 1, padding 1), transformed for tiles of 2 × 2 or 4 × 4.")
      .def(
          "__init__",
          [](Winograd* self, Weight weight, size_t tile, size_t threads) {
            const WinogradKernel* kernel = winograd_kernel(tile);
            if (!kernel) throw nb::value_error("tiles are 2 or 4 wide, and the processor has AVX2");
            if (!weight.size()) throw nb::value_error("the weight is empty");
            nb::gil_scoped_release released;
            new (self) Winograd(*kernel, tile, weight.data(), weight.shape(0), weight.shape(1), threads);
          },
          "weight"_a.noconvert(), "tile"_a, "threads"_a = 1)
      .def("apply", &apply, "x"_a.noconvert(), "bias"_a.none().noconvert(), "made"_a.noconvert(), "threads"_a = 1,
            "Writes the convolution of x (N, in, H, W), float32, to made (N, out, H, W).")
      .def_prop_ro("nbytes", &Winograd::bytes);
  module.def("has_winograd", [] { return winograd_kernel(4) != nullptr; }, "Whether the processor has the instructions for Winograd.");
}
