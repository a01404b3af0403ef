#include "tokenizer/py_decode.hpp"

#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <cstring>

#include "arrow/lists.hpp"
#include "text/utf8.hpp"
#include "tokenizer/decode_stream.hpp"
#include "tokenizer/derived.hpp"
#include "tokenizer/py_columns.hpp"
#include "tokenizer/threads.hpp"

namespace enfold {

using namespace nb::literals;

namespace {

using Array = nb::ndarray<nb::ro, nb::device::cpu>;

void raise_overflow(const char* what) {
  PyErr_SetString(PyExc_OverflowError, what);
  nb::raise_python_error();
}

// An id as Python gives it.
uint32_t read_id(PyObject* item) {
#if !defined(Py_LIMITED_API) && PY_VERSION_HEX < 0x030C0000
  // Ints below 2^30, as they lie in memory.
  if (PyLong_CheckExact(item)) {
    Py_ssize_t digits = Py_SIZE(item);
    if (digits == 1) return uint32_t(reinterpret_cast<PyLongObject*>(item)->ob_digit[0]);
    if (digits == 0) return 0;
  }
#endif
  int overflow = 0;
  long long value = PyLong_AsLongLongAndOverflow(item, &overflow);
  if (value == -1 && PyErr_Occurred()) nb::raise_python_error();
  if (overflow < 0 || value < 0) raise_overflow("number too small to fit in target type");
  if (overflow > 0 || value > int64_t(UINT32_MAX)) raise_overflow("number too large to fit in target type");
  return uint32_t(value);
}

void read_items(PyObject* sequence, IdRows& rows) {
  // Asked for anew each time: reading an item may run Python that changes the list.
  size_t count = size_t(PyList_CheckExact(sequence) ? PyList_Size(sequence) : PyTuple_Size(sequence)), at = rows.ids.size();
  rows.ids.resize(at + count);
  for (size_t i = 0; i < count; ++i) {
#ifdef Py_LIMITED_API
    PyObject* item = PyList_CheckExact(sequence) ? PyList_GetItem(sequence, Py_ssize_t(i)) : PyTuple_GetItem(sequence, Py_ssize_t(i));
    if (!item) nb::raise_python_error();
#else
    if (PyList_CheckExact(sequence) && i >= size_t(PyList_GET_SIZE(sequence))) throw nb::value_error("the list was changed while it was read");
    PyObject* item = PyList_CheckExact(sequence) ? PyList_GET_ITEM(sequence, i) : PyTuple_GET_ITEM(sequence, i);
#endif
    rows.ids[at + i] = read_id(item);
  }
}

template <class Value>
void read_strided(const Array& array, IdRows& rows) {
  const auto* data = static_cast<const Value*>(array.data());
  size_t lines = array.ndim() == 2 ? array.shape(0) : 1, count = array.shape(array.ndim() - 1);
  for (size_t line = 0; line < lines; ++line) {
    const Value* row = data + (array.ndim() == 2 ? int64_t(line) * array.stride(0) : 0);
    int64_t step = array.stride(array.ndim() - 1);
    for (size_t i = 0; i < count; ++i) {
      Value value = row[int64_t(i) * step];
      if constexpr (sizeof(Value) == 8 && Value(-1) > Value(0)) {
        if (value > UINT32_MAX) throw std::overflow_error("number too large to fit in target type");
      }
      add_id(int64_t(value), rows);
    }
    rows.end_row();
  }
}

void read_array(const Array& array, IdRows& rows) {
  nb::dlpack::dtype type = array.dtype();
  bool is_signed = type.code == uint8_t(nb::dlpack::dtype_code::Int);
  if (type.lanes != 1 || (!is_signed && type.code != uint8_t(nb::dlpack::dtype_code::UInt))) throw nb::type_error("ids must be integers");
  switch (type.bits) {
    case 8: return is_signed ? read_strided<int8_t>(array, rows) : read_strided<uint8_t>(array, rows);
    case 16: return is_signed ? read_strided<int16_t>(array, rows) : read_strided<uint16_t>(array, rows);
    case 32: return is_signed ? read_strided<int32_t>(array, rows) : read_strided<uint32_t>(array, rows);
    default: return is_signed ? read_strided<int64_t>(array, rows) : read_strided<uint64_t>(array, rows);
  }
}

// Whether it is an array, and not one of the sequences that are read item by item.
bool as_array(nb::handle given, Array& array) {
  if (PyList_Check(given.ptr()) || PyTuple_Check(given.ptr())) return false;
  return nb::try_cast<Array>(given, array, true);
}

// One row, appended.
void read_row(nb::handle given, IdRows& rows) {
  Array array;
  if (PyList_CheckExact(given.ptr()) || PyTuple_CheckExact(given.ptr())) {
    read_items(given.ptr(), rows);
  } else if (as_array(given, array)) {
    if (array.ndim() != 1) throw nb::type_error("expected one row of ids, got an array of other dimensions");
    return read_array(array, rows);
  } else {
    if (PyUnicode_Check(given.ptr()) || !PySequence_Check(given.ptr()))
      throw nb::type_error(("'" + nb::cast<std::string>(nb::str(given.type().attr("__name__"))) + "' object is not a sequence of ids").c_str());
    nb::object items = nb::steal(PySequence_Tuple(given.ptr()));
    if (!items.is_valid()) nb::raise_python_error();
    read_items(items.ptr(), rows);
  }
  rows.end_row();
}

template <class Pointer>
Pointer* capsule(nb::handle object, const char* name) {
  auto* made = static_cast<Pointer*>(PyCapsule_GetPointer(object.ptr(), name));
  if (!made) nb::raise_python_error();
  return made;
}

void read_rows(nb::handle given, IdRows& rows) {
  Array array;
  if (nb::isinstance<TokenColumn>(given)) {
    const auto& column = nb::cast<const TokenColumn&>(given);
    for (size_t row = 0; row < column.rows; ++row) {
      const int32_t* values = column.row(row);
      for (size_t i = 0; i < column.length(row); ++i) add_id(values[i], rows);
      rows.end_row();
    }
  } else if (PyList_Check(given.ptr()) || PyTuple_Check(given.ptr())) {
    size_t count = nb::len(given);
    rows.ends.reserve(count);
    for (nb::handle row : given) read_row(row, rows);
  } else if (nb::hasattr(given, "__arrow_c_array__")) {
    nb::object pair = given.attr("__arrow_c_array__")();
    nb::object schema = pair[0], values = pair[1];
    add_lists(*capsule<ArrowSchema>(schema, "arrow_schema"), *capsule<ArrowArray>(values, "arrow_array"), rows);
  } else if (nb::hasattr(given, "__arrow_c_stream__")) {
    nb::object held = given.attr("__arrow_c_stream__")();
    auto* stream = capsule<ArrowArrayStream>(held, "arrow_array_stream");
    ArrowSchema schema{};
    if (stream->get_schema(stream, &schema)) throw nb::value_error("the Arrow stream has no schema");
    std::unique_ptr<ArrowSchema, void (*)(ArrowSchema*)> free_schema(&schema, [](ArrowSchema* s) { s->release(s); });
    for (;;) {
      ArrowArray part{};
      if (stream->get_next(stream, &part)) throw nb::value_error("the Arrow stream failed");
      if (!part.release) break;
      std::unique_ptr<ArrowArray, void (*)(ArrowArray*)> free_part(&part, [](ArrowArray* a) { a->release(a); });
      add_lists(schema, part, rows);
    }
  } else if (as_array(given, array)) {
    if (array.ndim() != 2) throw nb::type_error("expected rows of ids, got an array that has not two dimensions");
    read_array(array, rows);
  } else {
    if (!PySequence_Check(given.ptr()) || PyUnicode_Check(given.ptr()))
      throw nb::type_error(("'" + nb::cast<std::string>(nb::str(given.type().attr("__name__"))) + "' object is not a sequence of rows of ids").c_str());
    for (nb::handle row : given) read_row(row, rows);
  }
}

// Errors of reading in C++ come out as Python's of the same name.
template <class Read>
void reading(Read read) {
  try {
    read();
  } catch (const std::overflow_error& error) {
    raise_overflow(error.what());
  } catch (const std::invalid_argument& error) {
    throw nb::value_error(error.what());
  }
}

PyObject* text_object(const DecodeTable& table, const char* text, size_t size, bool ascii) {
#ifndef Py_LIMITED_API
  if (ascii) {
    PyObject* made = PyUnicode_New(Py_ssize_t(size), 127);
    if (made && size) std::memcpy(PyUnicode_1BYTE_DATA(made), text, size);
    return made;
  }
#endif
  PyObject* made = PyUnicode_DecodeUTF8(text, Py_ssize_t(size), nullptr);
  if (made || !table.lossy()) return made;
  PyErr_Clear();
  std::string whole;
  utf8_append_lossy({text, size}, whole);
  return PyUnicode_DecodeUTF8(whole.data(), Py_ssize_t(whole.size()), nullptr);
}

nb::object to_object(PyObject* made) {
  if (!made) nb::raise_python_error();
  return nb::steal(made);
}

}  // namespace

nb::object decode_ids(const PipelinePtr& pipeline, nb::handle ids, bool skip_special_tokens) {
  PipelinePtr held = pipeline;
  IdRows rows;
  reading([&] { read_row(ids, rows); });
  const DecodeTable& table = decode_table(*held);
  ByteBuffer text;
  bool ascii;
  if (rows.ids.size() < 1024) {
    ascii = table.decode(rows.ids.data(), rows.ids.size(), skip_special_tokens, text);
  } else {
    nb::gil_scoped_release release;
    text.room(rows.ids.size() * 5);
    ascii = table.decode(rows.ids.data(), rows.ids.size(), skip_special_tokens, text);
  }
  return to_object(text_object(table, text.data.get(), text.size, ascii));
}

nb::list decode_rows(const PipelinePtr& pipeline, nb::handle given, bool skip_special_tokens) {
  constexpr size_t kChunk = 1 << 14;  // ids that are worth a hand-over
  struct Chunk {
    size_t begin, end;
    ByteBuffer text;
    std::vector<std::pair<size_t, bool>> ends;  // of each row's text, and whether it is ASCII
  };
  PipelinePtr held = pipeline;
  IdRows rows;
  reading([&] { read_rows(given, rows); });
  const DecodeTable& table = decode_table(*held);
  std::vector<Chunk> chunks;
  auto start = [&](size_t row) { return row ? rows.ends[row - 1] : 0; };
  for (size_t row = 0, begin = 0; row < rows.ends.size(); ++row) {
    if (rows.ends[row] - start(begin) < kChunk && row + 1 < rows.ends.size()) continue;
    chunks.push_back({begin, row + 1, {}, {}});
    begin = row + 1;
  }
  {
    nb::gil_scoped_release release;
    parallel(chunks.size(), thread_count(), [&](size_t index) {
      Chunk& chunk = chunks[index];
      chunk.text.room((rows.ends[chunk.end - 1] - start(chunk.begin)) * 5 + 64);
      for (size_t row = chunk.begin; row < chunk.end; ++row) {
        bool ascii = table.decode(rows.ids.data() + start(row), rows.ends[row] - start(row), skip_special_tokens, chunk.text);
        chunk.ends.emplace_back(chunk.text.size, ascii);
      }
    });
  }
  nb::list made;
  for (Chunk& chunk : chunks) {
    size_t at = 0;
    for (auto [end, ascii] : chunk.ends) {
      made.append(to_object(text_object(table, chunk.text.data.get() + at, end - at, ascii)));
      at = end;
    }
    chunk.text = {};
  }
  return made;
}

nb::object decode_step(const PipelinePtr& pipeline, nb::handle given, nb::handle ids) {
  IdRows rows;
  if (PyLong_Check(ids.ptr())) rows.ids.push_back(read_id(ids.ptr()));
  else reading([&] { read_row(ids, rows); });
  auto& stream = nb::cast<DecodeStream&>(given);
  std::optional<std::string> text = stream.step(decode_table(*pipeline), rows.ids);
  if (!text) return nb::none();
  return to_object(PyUnicode_DecodeUTF8(text->data(), Py_ssize_t(text->size()), "replace"));
}

}  // namespace enfold

void register_decoding(nanobind::module_& module) {
  namespace nb = nanobind;
  using namespace nb::literals;
  using enfold::DecodeStream;
  nb::class_<DecodeStream>(module, "DecodeStream")
      .def("__init__",
           [](DecodeStream* self, nb::handle ids, bool skip_special_tokens) {
             enfold::IdRows rows;
             enfold::reading([&] { enfold::read_row(ids, rows); });
             new (self) DecodeStream(std::move(rows.ids), skip_special_tokens);
           })
      .def("copy", [](const DecodeStream& self) { return DecodeStream(self); });
}
