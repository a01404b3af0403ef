#include "tokenizer/py_lists.hpp"

namespace enfold {
namespace {

// All under the interpreter's lock.
constexpr uint32_t kShared = 1 << 18;
PyObject* shared[kShared];
// Pairs (begin, begin + length) as they come up: an allocation less for every token at the beginning of a text.
constexpr uint32_t kBegins = 4096, kLengths = 16;
PyObject* pairs[kBegins][kLengths];

PyObject* new_ref(PyObject* object) {
  Py_INCREF(object);
  return object;
}

PyObject* pair(PyObject* first, PyObject* second) {
  PyObject* made = PyTuple_New(2);
  if (!made) {
    Py_DECREF(first);
    Py_DECREF(second);
    return nullptr;
  }
#ifdef Py_LIMITED_API
  PyTuple_SetItem(made, 0, first);
  PyTuple_SetItem(made, 1, second);
#else
  PyTuple_SET_ITEM(made, 0, first);
  PyTuple_SET_ITEM(made, 1, second);
#endif
  // Two ints make no cycle: the collector need not look at thousands of such pairs.
  PyObject_GC_UnTrack(made);
  return made;
}

PyObject* new_pair(Span span) {
  PyObject* begin = shared_int(span.begin);
  if (!begin) return begin;
  PyObject* end = shared_int(span.end);
  if (!end) return Py_DECREF(begin), end;
  return pair(begin, end);
}

}  // namespace

PyObject* shared_int(uint32_t value) {
  if (value >= kShared) return PyLong_FromUnsignedLong(value);
  PyObject*& slot = shared[value];
  if (!slot && !(slot = PyLong_FromUnsignedLong(value))) return nullptr;
  return new_ref(slot);
}

nb::list int_list(const int32_t* values, size_t count) {
  return make_list(count, [&](size_t i) { return values[i] < 0 ? PyLong_FromLong(values[i]) : shared_int(uint32_t(values[i])); });
}

nb::list optional_int_list(const int32_t* values, size_t count) {
  return make_list(count, [&](size_t i) { return values[i] < 0 ? new_ref(Py_None) : shared_int(uint32_t(values[i])); });
}

nb::list span_list(const Span* spans, size_t count) {
  return make_list(count, [&](size_t i) {
    Span span = spans[i];
    uint32_t length = span.end - span.begin;
    if (span.begin >= kBegins || length >= kLengths) return new_pair(span);
    PyObject*& slot = pairs[span.begin][length];
    if (!slot && !(slot = new_pair(span))) return slot;
    return new_ref(slot);
  });
}

}  // namespace enfold
