// TokenColumn: rows of integers in flat buffers, as Python and Arrow see them.
#include "tokenizer/py_columns.hpp"

#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>

#include <algorithm>
#include <cstring>

#include "arrow/strings.hpp"

using namespace nb::literals;
using enfold::TokenColumn;

namespace {

nb::list row_list(const int32_t* values, size_t count) {
  PyObject* list = PyList_New(Py_ssize_t(count));
  if (!list) nb::raise_python_error();
  for (size_t i = 0; i < count; ++i) PyList_SetItem(list, Py_ssize_t(i), PyLong_FromLong(values[i]));
  return nb::steal<nb::list>(list);
}

void release_capsule_schema(PyObject* capsule) {
  auto* schema = static_cast<ArrowSchema*>(PyCapsule_GetPointer(capsule, "arrow_schema"));
  if (schema && schema->release) schema->release(schema);
  delete schema;
}

void release_capsule_array(PyObject* capsule) {
  auto* array = static_cast<ArrowArray*>(PyCapsule_GetPointer(capsule, "arrow_array"));
  if (array && array->release) array->release(array);
  delete array;
}

using View = nb::ndarray<nb::memview, const int32_t, nb::ndim<1>, nb::c_contig>;

// The rows in place, where all have one length.
template <class... Framework>
nb::object matrix(nb::handle self) {
  auto& column = nb::cast<TokenColumn&>(self);
  if (!column.even()) throw nb::value_error("the rows differ in length: to_numpy(pad=…) fills them up, pack(length) cuts them anew");
  return nb::cast(nb::ndarray<Framework..., const int32_t, nb::ndim<2>, nb::c_contig, nb::device::cpu>(column.row(0), {column.rows, column.width()}, self));
}

}  // namespace

void register_columns(nb::module_& module) {
  nb::class_<TokenColumn>(module, "TokenColumn",
                          "A read-only sequence of rows of integers in one flat buffer.\n\n"
                          "Rows come out as list[int]; Arrow, NumPy and the buffer protocol see the buffers themselves.")
      .def("__len__", [](const TokenColumn& self) { return self.rows; })
      .def(
          "__getitem__",
          [](const TokenColumn& self, nb::object index) -> nb::object {
            if (PySlice_Check(index.ptr())) {
              Py_ssize_t start, stop, step;
              if (PySlice_Unpack(index.ptr(), &start, &stop, &step) < 0) nb::raise_python_error();
              Py_ssize_t count = PySlice_AdjustIndices(Py_ssize_t(self.rows), &start, &stop, step);
              return nb::cast(self.slice(start, step, size_t(count)));
            }
            Py_ssize_t row = PyNumber_AsSsize_t(index.ptr(), PyExc_IndexError);
            if (row == -1 && PyErr_Occurred()) nb::raise_python_error();
            if (row < 0) row += Py_ssize_t(self.rows);
            if (row < 0 || size_t(row) >= self.rows) throw nb::index_error("row out of range");
            return row_list(self.row(size_t(row)), self.length(size_t(row)));
          },
          "index"_a, "Row `index` as list[int]; a slice as a TokenColumn.")
      .def("__eq__",
           [](const TokenColumn& self, nb::handle other) -> nb::object {
             if (!nb::isinstance<TokenColumn>(other)) {
               if (!PyList_Check(other.ptr())) return nb::borrow(Py_NotImplemented);
               nb::list rows;
               for (size_t i = 0; i < self.rows; ++i) rows.append(row_list(self.row(i), self.length(i)));
               return nb::bool_(rows.equal(other));
             }
             const auto& that = nb::cast<const TokenColumn&>(other);
             bool same = self.rows == that.rows;
             for (size_t i = 0; same && i < self.rows; ++i)
               same = self.length(i) == that.length(i) && std::equal(self.row(i), self.row(i) + self.length(i), that.row(i));
             return nb::bool_(same);
           })
      .def("__repr__",
           [](const TokenColumn& self) { return "TokenColumn(" + std::to_string(self.rows) + " rows, " + std::to_string(self.total()) + " values)"; })
      .def("__getstate__",
           [](const TokenColumn& self) {
             std::vector<int32_t> offsets(self.rows + 1);
             for (size_t i = 0; i < self.rows; ++i) offsets[i + 1] = offsets[i] + int32_t(self.length(i));
             return nb::make_tuple(nb::bytes(offsets.data(), offsets.size() * 4), nb::bytes(self.row(0), self.total() * 4), self.fixed);
           })
      .def("__setstate__",
           [](TokenColumn& self, const nb::tuple& state) {
             auto offsets = nb::cast<nb::bytes>(state[0]), values = nb::cast<nb::bytes>(state[1]);
             auto batch = std::make_shared<enfold::FlatBatch>();
             size_t rows = offsets.size() / 4, count = values.size() / 4;
             batch->offsets.resize(rows);
             std::memcpy(batch->offsets.data(), offsets.data(), rows * 4);
             bool good = rows > 0 && batch->offsets[0] == 0 && size_t(batch->offsets[rows - 1]) == count &&
                         std::is_sorted(batch->offsets.begin(), batch->offsets.end());
             if (!good) throw nb::value_error("not the state of a TokenColumn");
             batch->ids = std::make_unique<int32_t[]>(count + 1);
             std::memcpy(batch->ids.get(), values.data(), count * 4);
             const int32_t* data = batch->ids.get();
             new (&self) TokenColumn{std::move(batch), data, 0, rows - 1, nb::cast<size_t>(state[2])};
           })
      .def(
          "tolist",
          [](const TokenColumn& self) {
            nb::list rows;
            for (size_t i = 0; i < self.rows; ++i) rows.append(row_list(self.row(i), self.length(i)));
            return rows;
          },
          "All rows, as list[list[int]].")
      .def(
          "pack",
          [](const TokenColumn& self, size_t length, std::optional<int32_t> separator, bool keep_remainder, bool fixed) {
            if (length == 0) throw nb::value_error("length must be at least 1");
            size_t total = self.total() + (separator ? self.rows : 0), rest = total % length;
            if (fixed && keep_remainder && rest)
              throw nb::value_error(("the last row would hold " + std::to_string(rest) + " of " + std::to_string(length) +
                                     " tokens: rows of a fixed size cannot keep the remainder").c_str());
            size_t used = keep_remainder ? total : total - rest, rows = (used + length - 1) / length;
            if (used > size_t(INT32_MAX)) throw nb::value_error("pack: more than 2^31 - 1 tokens; pass fewer rows at a time");
            auto batch = std::make_shared<enfold::FlatBatch>();
            batch->ids = std::make_unique_for_overwrite<int32_t[]>(used + 1);
            batch->type_ids = std::make_unique_for_overwrite<int32_t[]>(used + 1);  // the positions
            batch->offsets.resize(rows + 1);
            for (size_t row = 0; row <= rows; ++row) batch->offsets[row] = int32_t(std::min(row * length, used));
            size_t at = 0, column = 0;
            int32_t position = 0;
            auto put = [&](int32_t id) {
              if (at == used) return;
              if (column == length) column = 0, position = 0;
              batch->ids[at] = id;
              batch->type_ids[at++] = position++;
              ++column;
            };
            for (size_t row = 0; row < self.rows && at < used; ++row) {
              position = 0;
              std::for_each(self.row(row), self.row(row) + self.length(row), put);
              if (separator) put(*separator);
            }
            nb::dict made;
            made["input_ids"] = nb::cast(TokenColumn{batch, batch->ids.get(), 0, rows, fixed ? length : 0});
            made["position_ids"] = nb::cast(TokenColumn{batch, batch->type_ids.get(), 0, rows, fixed ? length : 0});
            return made;
          },
          "length"_a, nb::kw_only(), "separator"_a = nb::none(), "keep_remainder"_a = false, "fixed"_a = false,
          "The rows one after the other, cut anew into rows of `length`, for training language models.\n\n"
          "`separator` is put behind every old row; what does not fill a last row is dropped unless `keep_remainder`. With\n"
          "`fixed` Arrow sees fixed_size_list<int32>[length] instead of list<int32>.\n"
          "Returns input_ids and position_ids, a TokenColumn each: positions begin at 0 with every old row and every new\n"
          "one, so that a model that goes by them never looks from one document into another.")
      .def_prop_ro(
          "values",
          [](nb::handle self) {
            auto& column = nb::cast<TokenColumn&>(self);
            return nb::cast(View(column.row(0), {column.total()}, self));
          },
          "The rows one after the other: a memoryview of int32, length = offsets[-1] - offsets[0].")
      .def_prop_ro(
          "matrix", [](nb::handle self) { return matrix<nb::memview>(self); },
          "The rows as one memoryview of int32, (rows, length), without a copy: NumPy's asarray takes it, and torch's\n"
          "from_dlpack the column itself. ValueError where the rows differ in length.")
      .def(
          "__dlpack__", [](nb::handle self, nb::kwargs) { return matrix<>(self); },
          "The rows as a DLPack tensor of int32, (rows, length), without a copy.")
      .def("__dlpack_device__", [](nb::handle) { return nb::make_tuple(1, 0); }, "The CPU, as DLPack names it.")
      .def_prop_ro(
          "offsets",
          [](nb::handle self) -> nb::object {
            auto& column = nb::cast<TokenColumn&>(self);
            const int32_t* offsets = column.batch->offsets.data() + column.begin;
            if (column.begin == 0) return nb::cast(View(offsets, {column.rows + 1}, self));
            // A slice's own offsets begin at zero, so that they index its values.
            auto* own = new std::vector<int32_t>(offsets, offsets + column.rows + 1);
            for (int32_t& offset : *own) offset -= column.batch->offsets[column.begin];
            nb::capsule owner(own, [](void* p) noexcept { delete static_cast<std::vector<int32_t>*>(p); });
            return nb::cast(View(own->data(), {column.rows + 1}, owner));
          },
          "Where each row begins in `values`, and the end: a memoryview of int32, length rows + 1.")
      .def(
          "to_numpy",
          [](nb::handle self, std::optional<int32_t> pad, std::optional<size_t> length, const std::string& side) -> nb::object {
            auto& column = nb::cast<TokenColumn&>(self);
            if (side != "right" && side != "left") throw nb::value_error("side must be \"right\" or \"left\"");
            size_t longest = 0;
            for (size_t i = 0; i < column.rows; ++i) longest = std::max(longest, column.length(i));
            bool even = column.even();
            if (length && *length < longest) throw nb::value_error("length is shorter than the longest row");
            if (!pad && (!even || (length && *length != longest)))
              throw nb::value_error("the rows differ in length: pass pad=, the value to fill them up with");
            size_t width = length.value_or(longest);
            auto* own = new std::vector<int64_t>(column.rows * width, pad.value_or(0));
            for (size_t i = 0; i < column.rows; ++i)
              std::copy_n(column.row(i), column.length(i), own->data() + i * width + (side == "left" ? width - column.length(i) : 0));
            nb::capsule owner(own, [](void* p) noexcept { delete static_cast<std::vector<int64_t>*>(p); });
            return nb::cast(nb::ndarray<nb::numpy, int64_t, nb::ndim<2>, nb::c_contig>(own->data(), {column.rows, width}, owner));
          },
          "pad"_a = nb::none(), "length"_a = nb::none(), "side"_a = "right",
          "The rows as one array of int64, (rows, length); `pad` fills short rows on the given side, `length` defaults to the longest.")
      .def(
          "__arrow_c_schema__",
          [](const TokenColumn& self) {
            auto* schema = new ArrowSchema{};
            ArrowArray array{};
            if (self.fixed) enfold::export_fixed_lists(self.data, int64_t(self.fixed), 0, nullptr, schema, &array);
            else enfold::export_lists(self.batch->offsets.data(), self.data, 0, 0, 0, nullptr, schema, &array);
            array.release(&array);
            return nb::steal(PyCapsule_New(schema, "arrow_schema", release_capsule_schema));
          },
          "The Arrow type, list<int32> or fixed_size_list<int32>, as a capsule.")
      .def(
          "__arrow_c_array__",
          [](const TokenColumn& self, nb::object) {
            auto* schema = new ArrowSchema{};
            auto* array = new ArrowArray{};
            if (self.fixed)
              enfold::export_fixed_lists(self.row(0), int64_t(self.fixed), int64_t(self.rows), self.batch, schema, array);
            else
              enfold::export_lists(self.batch->offsets.data(), self.data, int64_t(self.begin), int64_t(self.rows),
                                   int64_t(self.batch->offsets.size()) - 1, self.batch, schema, array);
            return nb::make_tuple(nb::steal(PyCapsule_New(schema, "arrow_schema", release_capsule_schema)),
                                  nb::steal(PyCapsule_New(array, "arrow_array", release_capsule_array)));
          },
          "requested_schema"_a = nb::none(), "The rows as an Arrow array of that type, without a copy: (schema, array) capsules.");
}
