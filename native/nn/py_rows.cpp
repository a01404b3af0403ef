// The Python face of what is computed for few tokens at a time: functions of enfold._native.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <cstring>
#include <optional>
#include <tuple>
#include <utility>
#include <vector>

#include "nn/rows.hpp"
#include "nn/rows_block.hpp"
#include "tokenizer/threads.hpp"

namespace enfold::nn {
namespace {

namespace nb = nanobind;
using namespace nb::literals;

using Matrix = nb::ndarray<const float, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using Vector = nb::ndarray<const float, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Table = nb::ndarray<const float, nb::ndim<4>, nb::c_contig, nb::device::cpu>;
using Strided = nb::ndarray<const float, nb::ndim<4>, nb::device::cpu>;
using Places = nb::ndarray<const int64_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Runs = nb::ndarray<const int64_t, nb::shape<-1, 2>, nb::c_contig, nb::device::cpu>;
using MadeMatrix = nb::ndarray<float, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using MadePages = nb::ndarray<float, nb::ndim<4>, nb::c_contig, nb::device::cpu>;
using MadeStrided = nb::ndarray<float, nb::ndim<4>, nb::device::cpu>;

// Calls of a whole layer take addresses, for which enfold.nn answers.
const float* floats(size_t address) { return reinterpret_cast<const float*>(address); }

using PyNorm = std::tuple<size_t, float>;                   // address of the weight, epsilon
using PyLayer = std::tuple<size_t, size_t, size_t, size_t>;  // addresses of weight and bias (0: none), inputs, outputs
using PyPlace = std::tuple<size_t, size_t, size_t, size_t, size_t, size_t, size_t, size_t>;  // keys to position, starts, runs
using PySight = std::tuple<size_t, size_t, size_t, size_t, size_t, size_t>;                  // cos to mask_step
using PyStep = std::tuple<const RowsBlock*, PyPlace, PySight>;

RowsNorm norm_of(const PyNorm& norm) { return {floats(std::get<0>(norm)), std::get<1>(norm)}; }

RowsLayer layer_of(const PyLayer& layer) {
  auto [weight, bias, in, out] = layer;
  return {floats(weight), floats(bias), in, out};
}

void step_blocks(const std::vector<PyStep>& steps, size_t x, size_t made, size_t tokens, size_t threads) {
  nb::gil_scoped_release released;
  const float* from = floats(x);
  float* to = reinterpret_cast<float*>(made);
  for (size_t i = 0; i < steps.size(); ++i) {
    const auto& [block, place, sight] = steps[i];
    auto [keys, values, row_step, head_step, where, position, starts, runs] = place;
    auto [cos, sin, angle_step, half, mask, mask_step] = sight;
    RowsStep step{from, to, tokens, floats(cos), floats(sin), angle_step, half, reinterpret_cast<float*>(keys), reinterpret_cast<float*>(values),
                  row_step, head_step, reinterpret_cast<const int64_t*>(where), position, reinterpret_cast<const uint8_t*>(mask), mask_step,
                  reinterpret_cast<const int64_t*>(starts), reinterpret_cast<const Run*>(runs)};
    block->step(step, i + 1 < steps.size() ? std::get<0>(steps[i + 1]) : nullptr, threads);
    from = to;
  }
}

const RowsKernel& kernel() {
  const RowsKernel* found = rows_kernel();
  if (!found) throw nb::value_error("the processor has no AVX2");
  return *found;
}

void demand(bool holds, const char* otherwise) {
  if (!holds) throw nb::value_error(otherwise);
}

template <class Array>
Heads heads_of(const Array& x) {
  demand(x.shape(3) < 2 || x.stride(3) == 1, "the numbers of a head lie side by side");
  return {x.shape(0), x.shape(1), x.shape(2), x.shape(3), x.stride(0), x.stride(1), x.stride(2)};
}

void multiply(Matrix x, Matrix weight, std::optional<Vector> bias, std::optional<Matrix> onto, MadeMatrix made, size_t threads) {
  size_t rows = x.shape(0), in = x.shape(1), out = weight.shape(0);
  demand(weight.shape(1) == in, "x and the weight differ in width");
  demand(made.shape(0) == rows && made.shape(1) == out, "the result has a row for each of x, and a column for each of the weight");
  demand(!bias || bias->shape(0) == out, "the bias has a number for each row of the weight");
  demand(!onto || (onto->shape(0) == rows && onto->shape(1) == out), "what the result is added to has its shape");
  const RowsKernel& steps = kernel();
  nb::gil_scoped_release released;
  const float *bias_data = bias ? bias->data() : nullptr, *onto_data = onto ? onto->data() : nullptr;
  multiply_rows(steps, {x.data(), weight.data(), bias_data, onto_data, made.data(), rows, in, out, nullptr}, threads);
}

void norm(Matrix x, Vector weight, double eps, MadeMatrix made) {
  demand(x.shape(1) == weight.shape(0), "x and the weight differ in width");
  demand(made.shape(0) == x.shape(0) && made.shape(1) == x.shape(1), "the result has the shape of x");
  const RowsKernel& steps = kernel();
  nb::gil_scoped_release released;
  steps.norm(x.data(), weight.data(), float(eps), made.data(), x.shape(0), x.shape(1));
}

void gate(Matrix gate, Matrix up, MadeMatrix made) {
  for (const auto& shape : {std::pair{up.shape(0), up.shape(1)}, std::pair{made.shape(0), made.shape(1)}})
    demand(shape.first == gate.shape(0) && shape.second == gate.shape(1), "all have the same shape");
  const RowsKernel& steps = kernel();
  nb::gil_scoped_release released;
  steps.gate(gate.data(), up.data(), made.data(), gate.size());
}

void rotate(Strided x, Table cos, Table sin, MadeStrided made) {
  Heads from = heads_of(x), to = heads_of(made);
  demand(from.batch == to.batch && from.heads == to.heads && from.tokens == to.tokens && from.width == to.width,
         "the result has the shape of x");
  for (const Table& each : {cos, sin})
    demand((each.shape(0) == 1 || each.shape(0) == from.batch) && each.shape(1) == 1 && each.shape(2) == from.tokens &&
               each.shape(3) == cos.shape(3) && 2 * each.shape(3) <= from.width && each.shape(0) == cos.shape(0),
           "cos and sin are (batch or 1, 1, tokens, at most half the width of a head)");
  const RowsKernel& steps = kernel();
  nb::gil_scoped_release released;
  steps.rotate(from, x.data(), cos.data(), sin.data(), cos.shape(3), cos.shape(0) == 1, to, made.data());
}

void keep(Strided x, Places where, MadePages pages) {
  Heads from = heads_of(x);
  size_t slots = pages.shape(2);
  demand(from.batch == 1 && pages.shape(0) == 1 && pages.shape(1) == from.heads && pages.shape(3) == from.width,
         "pages are (1, heads, slots, width), as x");
  demand(where.shape(0) == from.tokens, "each token has its slot");
  for (size_t i = 0; i < from.tokens; ++i) demand(where.data()[i] >= 0 && size_t(where.data()[i]) < slots, "there is no such slot");
  for (size_t head = 0; head < from.heads; ++head)
    for (size_t token = 0; token < from.tokens; ++token)
      std::memcpy(pages.data() + (head * slots + where.data()[token]) * from.width,
                  x.data() + head * from.by_head + int64_t(token) * from.by_token, from.width * sizeof(float));
}

void attend(Strided query, Table keys, Table values, Places starts, Runs runs, double scale, MadeMatrix made, size_t threads) {
  Heads from = heads_of(query);
  size_t heads = keys.shape(1), slots = keys.shape(2), width = from.width;
  demand(from.batch == 1 && keys.shape(0) == 1 && values.shape(0) == 1, "there is one row");
  demand(heads && from.heads % heads == 0, "each head of keys serves as many of queries");
  demand(keys.shape(3) == width && values.shape(1) == heads && values.shape(2) == slots && values.shape(3) == width && width % 16 == 0,
         "heads of queries, keys and values are equally wide, a multiple of 16");
  demand(made.shape(0) == from.tokens && made.shape(1) == from.heads * width, "the result is (tokens, heads · width)");
  demand(starts.shape(0) == from.tokens + 1, "starts has one number more than there are tokens");
  for (size_t i = 0; i <= from.tokens; ++i)
    demand(starts.data()[i] >= 0 && size_t(starts.data()[i]) <= runs.shape(0) && (!i || starts.data()[i - 1] < starts.data()[i]),
           "each token has runs");
  static_assert(sizeof(Run) == 2 * sizeof(int64_t));
  const Run* all = reinterpret_cast<const Run*>(runs.data());
  for (size_t i = 0; i < runs.shape(0); ++i)
    demand(all[i].first >= 0 && all[i].count > 0 && all[i].first <= int64_t(slots) && all[i].count <= int64_t(slots) - all[i].first,
           "a run lies in the pages");
  const RowsKernel& steps = kernel();
  size_t group = from.heads / heads;
  nb::gil_scoped_release released;
  parallel(from.tokens, threads, [&](size_t token) {
    const Run* mine = all + starts.data()[token];
    size_t count = starts.data()[token + 1] - starts.data()[token];
    for (size_t head = 0; head < heads; ++head)
      steps.attend(query.data() + int64_t(head * group) * from.by_head + int64_t(token) * from.by_token, from.by_head, group, width,
                   keys.data() + head * slots * width, values.data() + head * slots * width, mine, count, float(scale),
                   made.data() + (token * from.heads + head * group) * width);
  });
}

}  // namespace
}  // namespace enfold::nn

void register_rows(nanobind::module_& module) {
  using namespace enfold::nn;
  module.def("has_rows", [] { return rows_kernel() != nullptr; }, "Whether the processor has the instructions for the functions for few rows.");
  module.def("rows_multiply", &multiply, "x"_a.noconvert(), "weight"_a.noconvert(), "bias"_a.none().noconvert(), "onto"_a.none().noconvert(),
             "made"_a.noconvert(), "threads"_a = 1, "Writes x (rows, in) · weight (out, in) + bias (out) + onto (rows, out) to made.");
  module.def("rows_norm", &norm, "x"_a.noconvert(), "weight"_a.noconvert(), "eps"_a, "made"_a.noconvert(),
             "Writes x (rows, width), divided by the root of its mean square and scaled, to made.");
  module.def("rows_gate", &gate, "gate"_a.noconvert(), "up"_a.noconvert(), "made"_a.noconvert(),
             "Writes silu(gate) · up, both (rows, width), to made.");
  module.def("rows_rotate", &rotate, "x"_a.noconvert(), "cos"_a.noconvert(), "sin"_a.noconvert(), "made"_a.noconvert(),
             "Writes x (batch, heads, tokens, width), its pairs turned by the angles, to made.");
  module.def("rows_keep", &keep, "x"_a.noconvert(), "where"_a.noconvert(), "pages"_a.noconvert(),
             "Writes the tokens of x (1, heads, tokens, width) into their slots of pages (1, heads, slots, width).");
  module.def("rows_attend", &attend, "query"_a.noconvert(), "keys"_a.noconvert(), "values"_a.noconvert(), "starts"_a.noconvert(),
             "runs"_a.noconvert(), "scale"_a, "made"_a.noconvert(), "threads"_a = 1,
             "Writes what each token of query (1, heads, tokens, width) finds in its runs of the pages to made (tokens, heads · width).");
  nb::class_<RowsBlock>(module, "RowsBlock", "A decoder's layer in single precision, for one token of each text; its maker keeps what it points to.")
      .def(
          "__init__",
          [](RowsBlock* self, PyNorm before, PyNorm between, PyLayer query, PyLayer key, PyLayer value, PyLayer output, PyLayer gate, PyLayer up,
             PyLayer down, size_t heads, size_t kept_heads, size_t dim, float scale) {
            new (self) RowsBlock({norm_of(before), norm_of(between), layer_of(query), layer_of(key), layer_of(value), layer_of(output), layer_of(gate),
                                  layer_of(up), layer_of(down), heads, kept_heads, dim, scale});
          },
          "before"_a, "between"_a, "query"_a, "key"_a, "value"_a, "output"_a, "gate"_a, "up"_a, "down"_a, "heads"_a, "kept_heads"_a, "dim"_a, "scale"_a)
      .def_prop_ro("width", &RowsBlock::width);
  module.def("step_rows_blocks", &step_blocks, "steps"_a, "x"_a, "made"_a, "tokens"_a, "threads"_a = 1,
             "Writes x (tokens, width) after some layers to made, and keys and values to their places; each step is a block, (keys, values, between rows "
             "and heads, where, position, starts, runs), and (cosines, sines, between their rows, how many, mask, between its rows); see "
             "native/nn/rows_block.hpp.");
}
