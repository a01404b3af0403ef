#include "arrow/py_strings.hpp"

#include <nanobind/stl/string.h>

#include <string>
#include <utility>

namespace enfold {

std::string_view utf8(nb::handle text) {
  Py_ssize_t size;
  const char* data = PyUnicode_AsUTF8AndSize(text.ptr(), &size);
  if (!data) {
    // The ecosystem's kind of error, which says what a text must be.
    PyErr_Clear();
    throw nb::type_error("a text must be str that UTF-8 can hold: this one has a lone surrogate");
  }
  return {data, size_t(size)};
}

void read_column(nb::handle column, Column& out) {
  if (nb::hasattr(column, "__arrow_c_array__")) {
    nb::object capsules = column.attr("__arrow_c_array__")();
    auto* schema = static_cast<ArrowSchema*>(PyCapsule_GetPointer(nb::object(capsules[0]).ptr(), "arrow_schema"));
    auto* array = static_cast<ArrowArray*>(PyCapsule_GetPointer(nb::object(capsules[1]).ptr(), "arrow_array"));
    if (!schema || !array) nb::raise_python_error();
    ArrowArray moved = *array;
    array->release = nullptr;  // ours now
    out.arrow.add(*schema, std::move(moved));
    out.views = out.arrow.views();
  } else if (nb::hasattr(column, "__arrow_c_stream__")) {
    nb::object capsule = column.attr("__arrow_c_stream__")();
    auto* stream = static_cast<ArrowArrayStream*>(PyCapsule_GetPointer(capsule.ptr(), "arrow_array_stream"));
    if (!stream) nb::raise_python_error();
    out.arrow.add(*stream);
    out.views = out.arrow.views();
  } else {
    if (PyUnicode_Check(column.ptr())) throw nb::type_error("expected a column of strings, not one string");
    nb::object items = nb::steal(PySequence_Fast(column.ptr(), "expected a list of strings or an Arrow column"));
    if (!items.is_valid()) nb::raise_python_error();
    size_t count = nb::len(items);
    out.views.reserve(count);
    size_t row = 0;
    for (nb::handle item : items) {
      if (!PyUnicode_Check(item.ptr()))
        throw nb::type_error(("row " + std::to_string(row) + " is not a string but " + nb::cast<std::string>(nb::str(item.type().attr("__name__")))).c_str());
      out.views.push_back(utf8(item));
      ++row;
    }
    // The list may be changed by another thread meanwhile: hold the strings themselves through a copy of it.
    out.objects.push_back(nb::steal(PySequence_Tuple(items.ptr())));
  }
}

}  // namespace enfold
