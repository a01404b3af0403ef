// Encoding, as Python sees it. Overflowing parts are copied out when asked for.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <stdexcept>

#include "tokenizer/lazy_encoding.hpp"
#include "tokenizer/py_lists.hpp"

namespace nb = nanobind;
using namespace nb::literals;
using enfold::Encoding;
using enfold::LazyEncoding;
using enfold::Span;

namespace {

nb::list ints(const std::vector<int32_t>& values) { return enfold::int_list(values.data(), values.size()); }
nb::list optional_ints(const std::vector<int32_t>& values) { return enfold::optional_int_list(values.data(), values.size()); }
nb::list spans(const std::vector<Span>& values) { return enfold::span_list(values.data(), values.size()); }
nb::list tokens(const Encoding& self) {
  auto named = self.names.begin();
  return enfold::make_list(self.size(), [&](size_t i) {
    std::string_view text;
    if (named != self.names.end() && named->first == i) text = *(named++)->second;
    else if (self.model) text = self.model->vocab.token(self.ids[i]);
    return PyUnicode_DecodeUTF8(text.data(), Py_ssize_t(text.size()), "replace");
  });
}

bool is_left(const std::string& direction) {
  if (direction == "left") return true;
  if (direction == "right") return false;
  throw nb::value_error(("unknown direction \"" + direction + "\"; expected left or right").c_str());
}

// An index or a length. Negative ones are refused the way the ecosystem does.
struct Index {
  size_t value = 0;
};

using Range = std::optional<std::pair<uint32_t, uint32_t>>;
Range range_of(Span span) { return std::pair(span.begin, span.end); }

std::optional<int32_t> word_of(const Encoding& self, size_t token) {
  if (self.words[token] < 0) return {};
  return self.words[token];
}

// Everything an encoding is, in plain Python values, for pickling.
nb::tuple state(const Encoding& self) {
  nb::dict sequences;
  for (const auto& [sequence, range] : self.sequences) sequences[nb::int_(sequence)] = nb::make_tuple(range.first, range.second);
  nb::list overflowing;
  for (const Encoding& part : self.overflowing) overflowing.append(state(part));
  return nb::make_tuple(ints(self.ids), ints(self.type_ids), tokens(self), ints(self.words), spans(self.offsets),
                        ints({self.special.begin(), self.special.end()}), ints({self.attention.begin(), self.attention.end()}), sequences,
                        overflowing);
}

Encoding from_state(const nb::tuple& values) {
  Encoding made;
  made.ids = nb::cast<std::vector<int32_t>>(values[0]);
  made.type_ids = nb::cast<std::vector<int32_t>>(values[1]);
  auto names = nb::cast<std::vector<std::string>>(values[2]);
  for (size_t i = 0; i < names.size(); ++i) made.names.emplace_back(uint32_t(i), std::make_shared<const std::string>(std::move(names[i])));
  made.words = nb::cast<std::vector<int32_t>>(values[3]);
  for (auto [begin, end] : nb::cast<std::vector<std::pair<uint32_t, uint32_t>>>(values[4])) made.offsets.push_back({begin, end});
  made.special = nb::cast<std::vector<uint8_t>>(values[5]);
  made.attention = nb::cast<std::vector<uint8_t>>(values[6]);
  for (auto [key, range] : nb::cast<nb::dict>(values[7])) made.sequences[nb::cast<size_t>(key)] = nb::cast<std::pair<size_t, size_t>>(range);
  for (nb::handle part : nb::cast<nb::list>(values[8])) made.overflowing.push_back(from_state(nb::cast<nb::tuple>(part)));
  size_t count = made.ids.size();
  if (made.type_ids.size() != count || names.size() != count || made.words.size() != count || made.offsets.size() != count ||
      made.special.size() != count || made.attention.size() != count)
    throw nb::value_error("not the state of an Encoding");
  for (auto& [sequence, range] : made.sequences)
    if (range.first > range.second || range.second > count) throw nb::value_error("not the state of an Encoding");
  return made;
}

// A read-only array of int32 that owns its values.
template <class Value>
nb::object array(std::vector<Value> values, std::initializer_list<size_t> shape) {
  auto* own = new std::vector<Value>(std::move(values));
  nb::capsule owner(own, [](void* p) noexcept { delete static_cast<std::vector<Value>*>(p); });
  return nb::cast(nb::ndarray<nb::memview, const int32_t, nb::c_contig>(own->data(), shape, owner));
}

}  // namespace

namespace nanobind::detail {
template <>
struct type_caster<Index> {
  NB_TYPE_CASTER(Index, const_name("int"))
  bool from_python(handle source, uint8_t, cleanup_list*) noexcept {
    object number = steal(PyNumber_Index(source.ptr()));
    if (!number.is_valid()) return PyErr_Clear(), false;
    value.value = PyLong_AsSize_t(number.ptr());
    if (value.value == size_t(-1) && PyErr_Occurred()) {
      PyErr_Clear();
      value.value = kBad;
    }
    return true;
  }
  static constexpr size_t kBad = size_t(-1);
};
}  // namespace nanobind::detail

namespace {

// The value of an index that was given.
size_t get(Index index) {
  if (index.value == size_t(-1)) {
    PyErr_SetString(PyExc_OverflowError, "can't convert negative int to unsigned");
    nb::raise_python_error();
  }
  return index.value;
}

}  // namespace

void register_encoding(nb::module_& module) {
  nb::class_<LazyEncoding>(module, "Encoding", nb::is_weak_referenceable(),
                           "The tokens of one input: ids, text, where they came from, and what was cut off.\n\n"
                           "It holds ids and the input; all else is worked out when it is read.")
      .def(nb::init<>())
      .def("__len__", &LazyEncoding::size)
      .def("__repr__",
           [](const LazyEncoding& self) {
             return "Encoding(num_tokens=" + std::to_string(self.size()) +
                    ", attributes=[ids, type_ids, tokens, offsets, attention_mask, special_tokens_mask, overflowing])";
           })
      .def("__getstate__", [](const LazyEncoding& self) { return state(self.full()); })
      .def("__setstate__", [](LazyEncoding& self, const nb::tuple& values) { new (&self) LazyEncoding(from_state(values)); })
      .def_prop_ro(
          "ids",
          [](const LazyEncoding& self) {
            const int32_t* ids = self.ids_in_place();
            return ids ? enfold::int_list(ids, self.size()) : ints(self.ids());
          },
          "The ids, list[int] of length n.")
      .def_prop_ro("type_ids", [](const LazyEncoding& self) { return ints(self.type_ids()); },
                   "Which sequence each token belongs to by the model's convention, list[int] of length n.")
      .def_prop_ro("tokens", [](const LazyEncoding& self) { return tokens(self.full()); }, "The text of each token, list[str] of length n.")
      .def_prop_ro("words", [](const LazyEncoding& self) { return optional_ints(self.words()); }, "The old name of word_ids.")
      .def_prop_ro("word_ids", [](const LazyEncoding& self) { return optional_ints(self.words()); },
                   "The index of each token's word in its sequence, None for special tokens.")
      .def_prop_ro("sequence_ids", [](const LazyEncoding& self) { return optional_ints(self.sequence_ids()); },
                   "The index of each token's input sequence, None for special tokens.")
      .def_prop_ro("n_sequences", [](const LazyEncoding& self) { return self.full().n_sequences(); }, "How many sequences are in it.")
      .def_prop_ro("offsets", [](const LazyEncoding& self) { return spans(self.offsets()); },
                   "Each token's (begin, end) in characters of its sequence.")
      .def_prop_ro("special_tokens_mask", [](const LazyEncoding& self) { return ints(self.special()); },
                   "1 for tokens that were put around the text, 0 for the text's own.")
      .def_prop_ro("attention_mask", [](const LazyEncoding& self) { return ints(self.attention()); }, "0 for padding, 1 for all else.")
      .def_prop_ro(
          "ids_array", [](const LazyEncoding& self) { return array(self.ids(), {self.size()}); },
          "The ids without a list: a read-only memoryview of int32, shape (n,), for numpy.asarray or torch.frombuffer.\n\n"
          "Not in the ecosystem's Encoding.")
      .def_prop_ro(
          "offsets_array",
          [](const LazyEncoding& self) { return array(self.offsets(), {self.size(), 2}); },
          "The offsets without a list: a read-only memoryview of int32, shape (n, 2).\n\nNot in the ecosystem's Encoding.")
      .def_prop_ro(
          "overflowing",
          [](const LazyEncoding& self) {
            nb::list made;
            if (self.overflows())
              for (const Encoding& part : self.full().overflowing) made.append(nb::cast(LazyEncoding(part)));
            return made;
          },
          "What truncation cut off, in windows of the same length.")
      .def(
          "char_to_token", [](const LazyEncoding& self, Index position, Index sequence) { return self.full().char_to_token(get(position), get(sequence)); },
          "char_pos"_a, "sequence_index"_a = nb::int_(0), "The index of the token that covers the character, or None.")
      .def(
          "char_to_word",
          [](const LazyEncoding& self, Index position, Index sequence) -> std::optional<int32_t> {
            auto token = self.full().char_to_token(get(position), get(sequence));
            if (!token) return {};
            return word_of(self.full(), *token);
          },
          "char_pos"_a, "sequence_index"_a = nb::int_(0), "The index of the word that covers the character, or None.")
      .def(
          "token_to_chars",
          [](const LazyEncoding& self, Index token) -> Range {
            if (!self.full().token_to_sequence(get(token))) return {};
            return range_of(self.full().offsets[token.value]);
          },
          "token_index"_a, "The token's (begin, end) in characters, or None for special tokens.")
      .def(
          "token_to_word",
          [](const LazyEncoding& self, Index token) -> std::optional<int32_t> {
            if (!self.full().token_to_sequence(get(token))) return {};
            return word_of(self.full(), token.value);
          },
          "token_index"_a, "The index of the token's word, or None.")
      .def(
          "token_to_sequence", [](const LazyEncoding& self, Index token) { return self.full().token_to_sequence(get(token)); },
          "token_index"_a, "The index of the token's sequence, or None.")
      .def(
          "word_to_tokens",
          [](const LazyEncoding& self, Index word, Index sequence) { return self.full().word_to_tokens(int32_t(std::min<size_t>(get(word), INT32_MAX)), get(sequence)); },
          "word_index"_a, "sequence_index"_a = nb::int_(0), "The word's tokens (first, last + 1), or None.")
      .def(
          "word_to_chars",
          [](const LazyEncoding& self, Index word, Index sequence) -> Range {
            const Encoding& full = self.full();
            auto range = full.word_to_tokens(int32_t(std::min<size_t>(get(word), INT32_MAX)), get(sequence));
            if (!range || range->second == range->first) return {};
            return std::pair(full.offsets[range->first].begin, full.offsets[range->second - 1].end);
          },
          "word_index"_a, "sequence_index"_a = nb::int_(0), "The word's (begin, end) in characters, or None.")
      .def(
          "set_sequence_id", [](LazyEncoding& self, Index sequence) { self.full().set_sequence(get(sequence)); }, "sequence_id"_a,
          "Say which sequence all its tokens belong to.")
      .def(
          "pad",
          [](LazyEncoding& self, Index length, const std::string& direction, int32_t id, int32_t type_id, const std::string& token) {
            self.full().pad(get(length), id, type_id, std::make_shared<const std::string>(token), is_left(direction));
          },
          "length"_a, "direction"_a = "right", "pad_id"_a = 0, "pad_type_id"_a = 0, "pad_token"_a = "[PAD]", "Pad to `length` tokens, in place.")
      .def(
          "truncate",
          [](LazyEncoding& self, Index max_length, Index stride, const std::string& direction) {
            self.full().truncate(get(max_length), get(stride), is_left(direction));
          },
          "max_length"_a, "stride"_a = nb::int_(0), "direction"_a = "right", "Cut to `max_length` tokens, in place; the rest goes to `overflowing`.")
      .def_static(
          "merge",
          [](const std::vector<const LazyEncoding*>& encodings, bool growing_offsets) {
            Encoding made;
            for (const LazyEncoding* encoding : encodings) made.merge(encoding->full(), growing_offsets);
            return LazyEncoding(std::move(made));
          },
          "encodings"_a, "growing_offsets"_a = true, "Put encodings one after the other.");
}
