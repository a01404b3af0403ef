// Python lists of numbers, made fast: small numbers are shared, not made anew.
#pragma once

#include <nanobind/nanobind.h>

#include <cstdint>

#include "text/text.hpp"

namespace enfold {

namespace nb = nanobind;

// A new reference to the int `value`. Those below 2^18, ids and places in most texts, are kept once they were needed: two
// loads in place of an allocation.
PyObject* shared_int(uint32_t value);

// A list of ints.
nb::list int_list(const int32_t* values, size_t count);
// The same with None in place of negative ones.
nb::list optional_int_list(const int32_t* values, size_t count);
// A list of (begin, end).
nb::list span_list(const Span* spans, size_t count);

// A list of `count` items of which item(i) gives a new reference.
template <class Item>
nb::list make_list(size_t count, Item item) {
  PyObject* list = PyList_New(Py_ssize_t(count));
  if (!list) nb::raise_python_error();
  nb::list owner = nb::steal<nb::list>(list);
  for (size_t i = 0; i < count; ++i) {
    PyObject* made = item(i);
    if (!made) nb::raise_python_error();
#ifdef Py_LIMITED_API
    PyList_SetItem(list, Py_ssize_t(i), made);
#else
    PyList_SET_ITEM(list, Py_ssize_t(i), made);
#endif
  }
  return owner;
}

}  // namespace enfold
