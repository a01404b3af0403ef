// Encoding, as Python sees it. Shared between Python objects by pointer; overflowing parts are copied out when asked for.
#include <nanobind/nanobind.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <stdexcept>

#include "tokenizer/encoding.hpp"

namespace nb = nanobind;
using namespace nb::literals;
using enfold::Encoding;
using enfold::Span;

namespace {

template <class Values, class Make>
nb::list to_list(const Values& values, Make make) {
  PyObject* list = PyList_New(Py_ssize_t(values.size()));
  if (!list) nb::raise_python_error();
  for (size_t i = 0; i < values.size(); ++i) PyList_SetItem(list, Py_ssize_t(i), make(values[i]));
  return nb::steal<nb::list>(list);
}
template <class Values>
nb::list to_ints(const Values& values) {
  return to_list(values, [](auto value) { return PyLong_FromLong(long(value)); });
}
template <class Values>
nb::list to_optional_ints(const Values& values) {
  return to_list(values, [](int32_t value) {
    if (value >= 0) return PyLong_FromLong(value);
    Py_INCREF(Py_None);
    return Py_None;
  });
}
nb::tuple span_tuple(Span span) { return nb::make_tuple(span.begin, span.end); }

bool is_left(const std::string& direction) {
  if (direction == "left") return true;
  if (direction == "right") return false;
  throw nb::value_error(("unknown direction \"" + direction + "\"; expected left or right").c_str());
}

std::vector<int32_t> sequence_ids(const Encoding& self) {
  std::vector<int32_t> made(self.size(), -1);
  for (size_t sequence = 0; sequence < self.n_sequences(); ++sequence) {
    auto [begin, end] = self.range(sequence);
    for (size_t i = begin; i < end && i < made.size(); ++i) made[i] = int32_t(sequence);
  }
  return made;
}

// Everything an encoding is, in plain Python values, for pickling.
nb::tuple state(const Encoding& self) {
  nb::dict sequences;
  for (const auto& [sequence, range] : self.sequences) sequences[nb::int_(sequence)] = nb::make_tuple(range.first, range.second);
  nb::list overflowing;
  for (const Encoding& part : self.overflowing) overflowing.append(state(part));
  return nb::make_tuple(to_ints(self.ids), to_ints(self.type_ids), to_list(self.tokens(), [](const std::string& s) {
                          return PyUnicode_FromStringAndSize(s.data(), Py_ssize_t(s.size()));
                        }),
                        to_ints(self.words), to_list(self.offsets, [](Span span) { return span_tuple(span).release().ptr(); }),
                        to_ints(self.special), to_ints(self.attention), sequences, overflowing);
}

void set_state(Encoding& self, const nb::tuple& values) {
  self = Encoding();
  self.ids = nb::cast<std::vector<int32_t>>(values[0]);
  self.type_ids = nb::cast<std::vector<int32_t>>(values[1]);
  auto tokens = nb::cast<std::vector<std::string>>(values[2]);
  for (size_t i = 0; i < tokens.size(); ++i) self.names.emplace_back(uint32_t(i), std::make_shared<const std::string>(std::move(tokens[i])));
  self.words = nb::cast<std::vector<int32_t>>(values[3]);
  for (auto [begin, end] : nb::cast<std::vector<std::pair<uint32_t, uint32_t>>>(values[4])) self.offsets.push_back({begin, end});
  self.special = nb::cast<std::vector<uint8_t>>(values[5]);
  self.attention = nb::cast<std::vector<uint8_t>>(values[6]);
  for (auto [key, range] : nb::cast<nb::dict>(values[7])) self.sequences[nb::cast<size_t>(key)] = nb::cast<std::pair<size_t, size_t>>(range);
  for (nb::handle part : nb::cast<nb::list>(values[8])) {
    set_state(self.overflowing.emplace_back(), nb::cast<nb::tuple>(part));
  }
}

}  // namespace

void register_encoding(nb::module_& module) {
  nb::class_<Encoding>(module, "Encoding", nb::is_weak_referenceable(),
                       "The tokens of one input: ids, text, where they came from, and what was cut off.")
      .def(nb::init<>())
      .def("__len__", &Encoding::size)
      .def("__repr__",
           [](const Encoding& self) {
             return "Encoding(num_tokens=" + std::to_string(self.size()) +
                    ", attributes=[ids, type_ids, tokens, offsets, attention_mask, special_tokens_mask, overflowing])";
           })
      .def("__getstate__", &state)
      .def("__setstate__",
           [](Encoding& self, const nb::tuple& values) {
             new (&self) Encoding();
             set_state(self, values);
           })
      .def_prop_ro("ids", [](const Encoding& self) { return to_ints(self.ids); }, "The ids, list[int] of length n.")
      .def_prop_ro("type_ids", [](const Encoding& self) { return to_ints(self.type_ids); },
                   "Which sequence each token belongs to by the model's convention, list[int] of length n.")
      .def_prop_ro("tokens", &Encoding::tokens, "The text of each token, list[str] of length n.")
      .def_prop_ro("words", [](const Encoding& self) { return to_optional_ints(self.words); }, "The old name of word_ids.")
      .def_prop_ro("word_ids", [](const Encoding& self) { return to_optional_ints(self.words); },
                   "The index of each token's word in its sequence, None for special tokens.")
      .def_prop_ro("sequence_ids", [](const Encoding& self) { return to_optional_ints(sequence_ids(self)); },
                   "The index of each token's input sequence, None for special tokens.")
      .def_prop_ro("n_sequences", &Encoding::n_sequences, "How many sequences are in it.")
      .def_prop_ro(
          "offsets", [](const Encoding& self) { return to_list(self.offsets, [](Span span) { return span_tuple(span).release().ptr(); }); },
          "Each token's (begin, end) in characters of its sequence.")
      .def_prop_ro("special_tokens_mask", [](const Encoding& self) { return to_ints(self.special); },
                   "1 for tokens that were put around the text, 0 for the text's own.")
      .def_prop_ro("attention_mask", [](const Encoding& self) { return to_ints(self.attention); }, "0 for padding, 1 for all else.")
      .def_prop_ro(
          "overflowing",
          [](const Encoding& self) {
            nb::list made;
            for (const Encoding& part : self.overflowing) made.append(nb::cast(Encoding(part)));
            return made;
          },
          "What truncation cut off, in windows of the same length.")
      .def("char_to_token", &Encoding::char_to_token, "char_pos"_a, "sequence_index"_a = 0,
           "The index of the token that covers the character, or None.")
      .def(
          "char_to_word",
          [](const Encoding& self, size_t position, size_t sequence) -> std::optional<int32_t> {
            auto token = self.char_to_token(position, sequence);
            if (!token || self.words[*token] < 0) return {};
            return self.words[*token];
          },
          "char_pos"_a, "sequence_index"_a = 0, "The index of the word that covers the character, or None.")
      .def(
          "token_to_chars",
          [](const Encoding& self, size_t token) -> std::optional<std::pair<uint32_t, uint32_t>> {
            if (!self.token_to_sequence(token)) return {};
            return std::pair(self.offsets[token].begin, self.offsets[token].end);
          },
          "token_index"_a, "The token's (begin, end) in characters, or None for special tokens.")
      .def(
          "token_to_word",
          [](const Encoding& self, size_t token) -> std::optional<int32_t> {
            if (!self.token_to_sequence(token) || self.words[token] < 0) return {};
            return self.words[token];
          },
          "token_index"_a, "The index of the token's word, or None.")
      .def("token_to_sequence", &Encoding::token_to_sequence, "token_index"_a, "The index of the token's sequence, or None.")
      .def("word_to_tokens", &Encoding::word_to_tokens, "word_index"_a, "sequence_index"_a = 0, "The word's tokens (first, last + 1), or None.")
      .def(
          "word_to_chars",
          [](const Encoding& self, int32_t word, size_t sequence) -> std::optional<std::pair<uint32_t, uint32_t>> {
            auto range = self.word_to_tokens(word, sequence);
            if (!range || range->second == range->first) return {};
            return std::pair(self.offsets[range->first].begin, self.offsets[range->second - 1].end);
          },
          "word_index"_a, "sequence_index"_a = 0, "The word's (begin, end) in characters, or None.")
      .def("set_sequence_id", &Encoding::set_sequence, "sequence_id"_a, "Say which sequence all its tokens belong to.")
      .def(
          "pad",
          [](Encoding& self, size_t length, const std::string& direction, int32_t id, int32_t type_id, const std::string& token) {
            self.pad(length, id, type_id, std::make_shared<const std::string>(token), is_left(direction));
          },
          "length"_a, "direction"_a = "right", "pad_id"_a = 0, "pad_type_id"_a = 0, "pad_token"_a = "[PAD]", "Pad to `length` tokens, in place.")
      .def(
          "truncate",
          [](Encoding& self, size_t max_length, size_t stride, const std::string& direction) {
            self.truncate(max_length, stride, is_left(direction));
          },
          "max_length"_a, "stride"_a = 0, "direction"_a = "right", "Cut to `max_length` tokens, in place; the rest goes to `overflowing`.")
      .def_static(
          "merge",
          [](const std::vector<const Encoding*>& encodings, bool growing_offsets) {
            Encoding made;
            for (const Encoding* encoding : encodings) made.merge(*encoding, growing_offsets);
            return made;
          },
          "encodings"_a, "growing_offsets"_a = true, "Put encodings one after the other.");
}
