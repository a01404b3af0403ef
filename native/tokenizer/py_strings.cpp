#include "tokenizer/py_strings.hpp"

#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <stdexcept>

#include "text/normalizers.hpp"
#include "text/utf8.hpp"
#include "tokenizer/lazy_encoding.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace enfold {

void Source::mark() {
  if (!marks_.empty()) return;
  for (size_t at = 0; at < text_.size(); ++chars_) {
    if (chars_ % kStep == 0) marks_.push_back(at);
    at += utf8_width((unsigned char)text_[at]);
  }
  if (marks_.empty()) marks_.push_back(0);
}

size_t Source::byte_of(size_t character) {
  mark();
  if (character >= chars_) return text_.size();
  size_t at = marks_[character / kStep];
  for (size_t i = character % kStep; i > 0; --i) at += utf8_width((unsigned char)text_[at]);
  return at;
}

std::optional<size_t> Source::char_of(size_t byte) {
  if (byte >= text_.size()) return {};
  mark();
  size_t block = size_t(std::upper_bound(marks_.begin(), marks_.end(), byte) - marks_.begin()) - 1;
  size_t character = block * kStep;
  for (size_t at = marks_[block]; (at += utf8_width((unsigned char)text_[at])) <= byte;) ++character;
  return character;
}

void Source::to_chars(size_t& begin, size_t& end) {
  auto first = char_of(begin), last = char_of(end);
  if (!first) return;
  if (!last) last = (end > 0 ? char_of(end - 1) : std::nullopt).value_or(*first + 1) + 1;
  begin = *first;
  end = *last;
}

std::string_view Source::between(Span chars) {
  size_t begin = byte_of(chars.begin);
  return text_.substr(begin, std::max(byte_of(chars.end), begin) - begin);
}

NormalizedString NormalizedString::from(std::string_view text) {
  NormalizedString made{Source::owning(text), Text::from(text, true)};
  made.text.source = {};
  return made;
}

Text& NormalizedString::use() {
  if (ended) throw std::runtime_error("Cannot use a NormalizedStringRefMut outside `normalize`");
  return text;
}

PreTokenizedString PreTokenizedString::from(std::string_view text) {
  NormalizedString whole = NormalizedString::from(text);
  PreTokenizedString made{whole.source, {}};
  made.splits.push_back({std::move(whole.text), -1});
  return made;
}

std::vector<Split>& PreTokenizedString::use() {
  if (ended) throw std::runtime_error("Cannot use a PreTokenizedStringRefMut outside `pre_tokenize`");
  return splits;
}

namespace {

std::string_view utf8(nb::handle text) {
  if (!PyUnicode_Check(text.ptr())) throw nb::type_error(("expected a str, not " + nb::cast<std::string>(nb::str(text.type().attr("__name__")))).c_str());
  Py_ssize_t size;
  const char* data = PyUnicode_AsUTF8AndSize(text.ptr(), &size);
  if (!data) nb::raise_python_error();
  return {data, size_t(size)};
}

nb::str to_str(std::string_view text) { return nb::steal<nb::str>(PyUnicode_DecodeUTF8(text.data(), Py_ssize_t(text.size()), "replace")); }
nb::str char_str(char32_t code) {
  std::string made;
  utf8_append(code, made);
  return to_str(made);
}

void need_callable(nb::handle object, const char* message) {
  if (!PyCallable_Check(object.ptr())) throw nb::type_error(message);
}

std::string_view original(NormalizedString& self) { return self.use(), self.source->between(self.text.origin); }

nb::str shown(NormalizedString& self) {
  if (self.ended) return nb::str("<NormalizedString of a call that is over>");
  return to_str("NormalizedString(original=\"" + std::string(original(self)) + "\", normalized=\"" + self.text.bytes + "\")");
}

// Runs a component given by its settings, as a normalizer.
void run(NormalizedString& self, std::string_view spec) {
  JsonDocument document(spec);
  make_normalizer(document.root)->run(self.use());
}
void strip(NormalizedString& self, bool left, bool right) {
  run(self, std::string("{\"type\":\"Strip\",\"strip_left\":") + (left ? "true" : "false") + ",\"strip_right\":" + (right ? "true}" : "false}"));
}

void uppercase(NormalizedString& self) {
  std::vector<Change> dest;
  std::string_view bytes = self.use().bytes;
  for (size_t at = 0; at < bytes.size();) upper(utf8_next(bytes, at), dest);
  self.text.transform(dest);
}

void append(NormalizedString& self, std::string_view suffix) {
  std::vector<Change> dest;
  std::string& bytes = self.use().bytes;
  size_t last = bytes.size();
  if (last > 0) dest.push_back({utf8_previous(bytes, last), 0});
  for (size_t at = 0; at < suffix.size();) dest.push_back({utf8_next(suffix, at), 1});
  self.text.transform(last, bytes.size(), dest);
}

// Calls `visit(code, object)` for every character of a text that callbacks may not change.
template <class Visit>
void each_char(NormalizedString& self, nb::handle func, Visit visit) {
  std::string bytes = self.use().bytes;
  for (size_t at = 0; at < bytes.size();) visit(nb::object(func(char_str(utf8_next(bytes, at)))));
}

void map(NormalizedString& self, nb::handle func) {
  need_callable(func, "`map` expect a callable with the signature: `fn(char) -> char`");
  std::vector<Change> dest;
  each_char(self, func, [&](nb::object made) {
    std::string_view text = utf8(made);
    size_t at = 0;
    if (text.empty()) throw nb::value_error("`map` expect a callable with the signature: `fn(char) -> char`, and it returned an empty string");
    dest.push_back({utf8_next(text, at), 0});
  });
  self.use().transform(dest);
}

void filter(NormalizedString& self, nb::handle func) {
  need_callable(func, "`filter` expect a callable with the signature: `fn(char) -> bool`");
  std::vector<bool> keep;
  each_char(self, func, [&](nb::object made) {
    if (!PyBool_Check(made.ptr())) throw nb::type_error("`filter` expect a callable with the signature: `fn(char) -> bool`");
    keep.push_back(made.ptr() == Py_True);
  });
  size_t next = 0;
  self.use().filter([&](char32_t) { return keep[next++]; });
}

// A pattern's settings: of a string, or of a Regex object.
std::string pattern_json(nb::handle pattern) {
  std::string made;
  if (PyUnicode_Check(pattern.ptr())) {
    made = "{\"String\":";
    json_quote(utf8(pattern), made);
  } else if (nb::hasattr(pattern, "pattern") && nb::isinstance<nb::str>(pattern.attr("pattern"))) {
    made = "{\"Regex\":";
    json_quote(utf8(nb::object(pattern.attr("pattern"))), made);
  } else {
    throw nb::type_error("a pattern must be str or Regex");
  }
  return made + "}";
}

void replace(NormalizedString& self, nb::handle pattern, std::string_view content) {
  std::string spec = "{\"type\":\"Replace\",\"pattern\":" + pattern_json(pattern) + ",\"content\":";
  json_quote(content, spec);
  run(self, spec + "}");
}

const char* behavior_name(nb::object behavior) {
  if (nb::hasattr(behavior, "value")) behavior = behavior.attr("value");
  std::string_view name = utf8(behavior);
  for (auto [spoken, written] : {std::pair{"removed", "Removed"}, {"isolated", "Isolated"}, {"merged_with_previous", "MergedWithPrevious"},
                                 {"merged_with_next", "MergedWithNext"}, {"contiguous", "Contiguous"}})
    if (name == spoken) return written;
  throw nb::value_error("Wrong value for SplitDelimiterBehavior, expected one of: `removed, isolated, merged_with_previous, merged_with_next, contiguous`");
}

std::vector<NormalizedString> split(NormalizedString& self, nb::handle pattern, nb::object behavior) {
  std::string spec = "{\"pattern\":" + pattern_json(pattern) + ",\"behavior\":\"" + behavior_name(behavior) + "\"}";
  JsonDocument document(spec);  // a view of it
  const Text& whole = self.use();
  std::vector<std::pair<size_t, size_t>> ranges{{0, 0}};
  if (!whole.empty()) ranges = split_ranges(document.root, whole.bytes);
  std::vector<NormalizedString> made;
  for (auto [begin, end] : ranges) {
    Text text = whole.slice(begin, end);
    // A part covers what its characters stand for, also where it is all that is left.
    text.origin = text.empty() ? Span{text.origin.begin, text.origin.begin} : text.span(0, text.bytes.size());
    made.push_back({self.source, std::move(text)});
  }
  return made;
}

// Part of a string by characters: an index, a pair, or a slice. None where it begins beyond the end. Negative numbers
// count from the length in bytes, as the ecosystem does.
std::optional<NormalizedString> slice(NormalizedString& self, nb::handle range) {
  std::string_view bytes = self.use().bytes;
  auto length = Py_ssize_t(bytes.size());
  Py_ssize_t begin, end;
  if (PySlice_Check(range.ptr())) {
    Py_ssize_t step;
    if (PySlice_Unpack(range.ptr(), &begin, &end, &step) < 0) nb::raise_python_error();
    PySlice_AdjustIndices(length, &begin, &end, step);
  } else if (PyTuple_Check(range.ptr()) && nb::len(range) == 2) {
    begin = nb::cast<Py_ssize_t>(range[0]);
    end = nb::cast<Py_ssize_t>(range[1]);
    if (begin < 0 || end < 0) throw nb::type_error("a range must not be negative");
  } else if (PyIndex_Check(range.ptr())) {
    begin = PyNumber_AsSsize_t(range.ptr(), PyExc_IndexError);
    if (begin == -1 && PyErr_Occurred()) nb::raise_python_error();
    if (begin < 0) {
      if (-begin > length) throw nb::value_error((std::to_string(-begin) + " is bigger than max len").c_str());
      begin += length;
    }
    end = begin + 1;
  } else {
    throw nb::type_error("a range must be an int, a tuple of two, or a slice");
  }
  auto nothing = [&](Span span) {
    NormalizedString made = self.part(0, 0);
    made.text.origin = {span.begin, span.begin};
    return made;
  };
  if (begin == 0 && end == 0) return nothing(self.text.origin);
  size_t at = 0;
  for (Py_ssize_t i = 0; i < begin && at < bytes.size(); ++i) utf8_next(bytes, at);
  if (at >= bytes.size()) return {};
  size_t first = at;
  if (begin > end) at = bytes.size();  // a range that runs backwards goes on to the end
  for (Py_ssize_t i = begin; i < end && at < bytes.size(); ++i) utf8_next(bytes, at);
  return first == at ? nothing(self.text.span(first, first + 1)) : self.part(first, at);
}

// Token

GivenToken make_token(int64_t id, nb::handle value, std::pair<int64_t, int64_t> offsets) {
  if (id < 0 || id > INT32_MAX || offsets.first < 0 || offsets.second < 0) {
    PyErr_SetString(PyExc_OverflowError, "a token's id and offsets must be between 0 and 2^31 - 1");
    nb::raise_python_error();
  }
  return {uint32_t(id), std::string(utf8(value)), size_t(offsets.first), size_t(offsets.second)};
}
nb::tuple token_offsets(const GivenToken& self) { return nb::make_tuple(self.begin, self.end); }
nb::tuple token_tuple(const GivenToken& self) { return nb::make_tuple(self.id, to_str(self.value), token_offsets(self)); }

// PreTokenizedString

void split_all(PreTokenizedString& self, nb::handle func) {
  need_callable(func, "`split` expect a callable with the signature: `fn(index: int, normalized: NormalizedString) -> List[NormalizedString]`");
  std::vector<Split> before = self.use(), made;
  for (size_t i = 0; i < before.size(); ++i) {
    if (before[i].added >= 0) {
      made.push_back(std::move(before[i]));
      continue;
    }
    nb::object parts = func(i, nb::cast(NormalizedString{self.source, std::move(before[i].text)}, nb::rv_policy::move));
    if (PyUnicode_Check(parts.ptr()) || !PySequence_Check(parts.ptr()))
      throw nb::type_error(("`split` must return a list of NormalizedString, not " + nb::cast<std::string>(nb::str(parts.type().attr("__name__")))).c_str());
    for (nb::handle part : parts) {
      if (!nb::isinstance<NormalizedString>(part))
        throw nb::type_error(("`split` must return a list of NormalizedString; one of them is " + nb::cast<std::string>(nb::str(part.type().attr("__name__")))).c_str());
      if (const Text& text = nb::cast<NormalizedString&>(part).use(); !text.empty()) made.push_back({text, -1});
    }
  }
  self.use() = std::move(made);
}

void normalize_all(PreTokenizedString& self, nb::handle func) {
  need_callable(func, "`normalize` expect a callable with the signature: `fn(normalized: NormalizedString)`");
  // On a copy: the callback may come back to this very object.
  std::vector<Split> made = self.use();
  for (Split& split : made)
    if (split.added < 0) lend(split.text, self.source, [&](nb::handle object) { func(object); });
  self.use() = std::move(made);
}

void tokenize_all(PreTokenizedString& self, nb::handle func) {
  need_callable(func, "`tokenize` expect a callable with the signature: `fn(str) -> List[Token]`");
  std::vector<Split> made = self.use();
  for (Split& split : made) {
    if (split.added >= 0) continue;
    nb::object given = func(to_str(split.text.bytes));
    if (!PyList_Check(given.ptr())) throw nb::type_error("`tokenize` must return a list of Token");
    std::vector<GivenToken> tokens;
    for (nb::handle token : given) {
      if (!nb::isinstance<GivenToken>(token))
        throw nb::type_error(("`tokenize` must return a list of Token; one of them is " + nb::cast<std::string>(nb::str(token.type().attr("__name__")))).c_str());
      tokens.push_back(nb::cast<const GivenToken&>(token));
    }
    split.added = Split::kGiven;
    split.tokens = std::make_shared<const std::vector<GivenToken>>(std::move(tokens));
  }
  self.use() = std::move(made);
}

LazyEncoding to_encoding(PreTokenizedString& self, uint32_t type_id, std::optional<uint32_t> word) {
  Encoding made;
  const std::vector<Split>& splits = self.use();
  for (const Split& split : splits)
    if (split.added < 0) throw std::runtime_error("Split has not been tokenized, call `PreTokenizedString::tokenize` first");
  for (size_t i = 0; i < splits.size(); ++i) {
    const Text& text = splits[i].text;
    auto index = int32_t(word ? *word : i);
    if (!splits[i].tokens) {
      made.push(splits[i].added, int32_t(type_id), index, text.span(0, text.bytes.size()), false, std::make_shared<const std::string>(text.bytes));
      continue;
    }
    for (const GivenToken& token : *splits[i].tokens) {
      // Offsets outside the text are taken for bytes of the original; where an empty range is meant, of this split's part.
      size_t begin = token.begin, end = token.end;
      if (begin == end) begin = end += self.source->byte_of(text.origin.begin);
      self.source->to_chars(begin, end);
      Span span{uint32_t(begin), uint32_t(end)};
      if (token.begin < token.end && token.end <= text.bytes.size()) span = text.span(token.begin, token.end);
      made.push(int32_t(token.id), int32_t(type_id), index, span, false, std::make_shared<const std::string>(token.value));
    }
  }
  return LazyEncoding(std::move(made));
}

std::string choice(nb::object value, std::string first, std::string second, const char* owner) {
  if (nb::hasattr(value, "value")) value = value.attr("value");
  std::string_view name = utf8(value);
  if (name == first || name == second) return std::string(name);
  throw nb::value_error((std::string("Wrong value for ") + owner + ", expected one of `" + first + ", " + second + "`").c_str());
}

nb::list get_splits(PreTokenizedString& self, nb::object referential, nb::object type) {
  bool of_original = choice(referential, "original", "normalized", "OffsetReferential") == "original";
  bool chars = choice(type, "byte", "char", "OffsetType") == "char";
  nb::list made;
  size_t at = 0;
  for (const Split& split : self.use()) {
    const Text& text = split.text;
    size_t begin = at, end = at += text.bytes.size();
    if (of_original) {
      begin = chars ? text.origin.begin : self.source->byte_of(text.origin.begin);
      end = chars ? text.origin.end : self.source->byte_of(text.origin.end);
    } else if (chars) {
      // The ecosystem reads these bytes, which are of the normalized text, as bytes of the original.
      self.source->to_chars(begin, end);
    }
    nb::object tokens = nb::none();
    if (split.tokens) {
      tokens = nb::list();
      for (const GivenToken& token : *split.tokens) tokens.attr("append")(nb::cast(token));
    } else if (split.added >= 0) {
      tokens = nb::list();
      tokens.attr("append")(nb::cast(GivenToken{uint32_t(split.added), text.bytes, 0, text.bytes.size()}));
    }
    made.append(nb::make_tuple(to_str(text.bytes), nb::make_tuple(begin, end), tokens));
  }
  return made;
}

void register_normalized(nb::module_& module) {
  using Self = NormalizedString;
  nb::class_<Self>(module, "NormalizedString", nb::is_weak_referenceable(),
                   "A text being normalized, which knows for each of its characters where it came from.\n\n"
                   "Args:\n    sequence: the text.\n\n"
                   "Example:\n    >>> text = NormalizedString(\"H\\u00e9llo\")\n    >>> text.nfd(); text.lowercase()\n    >>> text[0]\n"
                   "    NormalizedString(original=\"H\", normalized=\"h\")")
      .def("__init__", [](Self* self, nb::handle sequence) { new (self) Self(Self::from(utf8(sequence))); }, "sequence"_a)
      .def("__repr__", &shown)
      .def("__str__", [](Self& self) { return to_str(self.use().bytes); })
      .def("__copy__", [](Self& self) { return self.use(), Self{self.source, self.text}; })
      .def("__deepcopy__", [](Self& self, nb::handle) { return self.use(), Self{self.source, self.text}; }, "memo"_a)
      .def_prop_ro("normalized", [](Self& self) { return to_str(self.use().bytes); }, "The text as it is now.")
      .def_prop_ro("original", [](Self& self) { return to_str(original(self)); }, "The text as it was given.")
      .def("__getitem__", &slice, "range"_a)
      .def("slice", &slice, "range"_a, "Part of it by characters: an index, a pair or a slice; None where it begins beyond the end.")
      .def("nfd", [](Self& self) { run(self, R"({"type":"NFD"})"); }, "Bring it to Unicode normalization form D.")
      .def("nfkd", [](Self& self) { run(self, R"({"type":"NFKD"})"); }, "Bring it to Unicode normalization form KD.")
      .def("nfc", [](Self& self) { run(self, R"({"type":"NFC"})"); }, "Bring it to Unicode normalization form C.")
      .def("nfkc", [](Self& self) { run(self, R"({"type":"NFKC"})"); }, "Bring it to Unicode normalization form KC.")
      .def("lowercase", [](Self& self) { run(self, R"({"type":"Lowercase"})"); }, "Make it lower case, character by character.")
      .def("uppercase", &uppercase, "Make it upper case, character by character.")
      .def("prepend", [](Self& self, nb::handle s) { self.use().prepend(utf8(s)); }, "s"_a, "Put a string before it, unless it is empty.")
      .def("append", [](Self& self, nb::handle s) { append(self, utf8(s)); }, "s"_a, "Put a string behind it.")
      .def("clear", [](Self& self) { self.use().trim(0, 0); }, "Drop all of it; what it stands for stays.")
      .def("filter", &filter, "func"_a, "Keep the characters for which ``func(char)`` is True.")
      .def("for_each", [](Self& self, nb::handle func) {
        need_callable(func, "`for_each` expect a callable with the signature: `fn(char)`");
        each_char(self, func, [](nb::object) {});
      }, "func"_a, "Call ``func(char)`` for every character.")
      .def("map", &map, "func"_a, "Replace every character by ``func(char)``.")
      .def("lstrip", [](Self& self) { strip(self, true, false); }, "Drop white space at the beginning.")
      .def("rstrip", [](Self& self) { strip(self, false, true); }, "Drop white space at the end.")
      .def("strip", [](Self& self) { strip(self, true, true); }, "Drop white space at both ends.")
      .def("replace", [](Self& self, nb::handle pattern, nb::handle content) { replace(self, pattern, utf8(content)); }, "pattern"_a, "content"_a,
           "Replace every match of a str or Regex by a string.")
      .def("split", &split, "pattern"_a, "behavior"_a,
           "Cut it at every match of a str or Regex; ``behavior`` says what becomes of the match: removed, isolated,\n"
           "merged_with_previous, merged_with_next or contiguous.");
}

void register_pre_tokenized(nb::module_& module) {
  using Self = PreTokenizedString;
  nb::class_<Self>(module, "PreTokenizedString", nb::is_weak_referenceable(),
                   "A text being cut into words, and the tokens of those that have them.\n\nArgs:\n    s: the text.\n\n"
                   "Example:\n    >>> text = PreTokenizedString(\"a b\")\n"
                   "    >>> text.split(lambda i, part: part.split(\" \", \"removed\"))\n    >>> text.get_splits()\n"
                   "    [('a', (0, 1), None), ('b', (2, 3), None)]")
      .def("__init__", [](Self* self, nb::handle s) { new (self) Self(Self::from(utf8(s))); }, "s"_a)
      .def("split", &split_all, "func"_a, "Replace every part without tokens by what ``func(index, part)`` returns, a list of NormalizedString.")
      .def("normalize", &normalize_all, "func"_a, "Call ``func(part)`` for every part without tokens; it changes the NormalizedString in place.")
      .def("tokenize", &tokenize_all, "func"_a, "Give every part without tokens those that ``func(str)`` returns, a list of Token.")
      .def("to_encoding", &to_encoding, "type_id"_a = 0, "word_idx"_a = nb::none(),
           "The Encoding of all tokens; every word gets ``word_idx``, or its number.\n\nRaises:\n    RuntimeError: a part has no tokens.")
      .def("get_splits", &get_splits, "offset_referential"_a = "original", "offset_type"_a = "char",
           "The parts as (text, (begin, end), tokens or None), offsets of the ``original`` or the ``normalized`` text in ``char``\nor ``byte``.");
}

}  // namespace
}  // namespace enfold

void register_strings(nb::module_& module) {
  using namespace enfold;
  nb::class_<GivenToken>(module, "Token", nb::is_weak_referenceable(),
                         "A token of one word: its id, its text, and its (begin, end) in bytes of the word.")
      .def("__init__", [](GivenToken* self, int64_t id, nb::handle value, std::pair<int64_t, int64_t> offsets) {
        new (self) GivenToken(make_token(id, value, offsets));
      }, "id"_a, "value"_a, "offsets"_a)
      .def_prop_ro("id", [](const GivenToken& self) { return self.id; }, "Its id.")
      .def_prop_ro("value", [](const GivenToken& self) { return to_str(self.value); }, "Its text.")
      .def_prop_ro("offsets", &token_offsets, "Its (begin, end) in bytes.")
      .def("as_tuple", &token_tuple, "(id, value, offsets)")
      .def("__eq__", [](const GivenToken& self, nb::handle other) -> nb::object {
        if (!nb::isinstance<GivenToken>(other)) return nb::borrow(Py_NotImplemented);
        return nb::bool_(token_tuple(self).equal(token_tuple(nb::cast<const GivenToken&>(other))));
      }, "other"_a.none())
      .def("__hash__", [](const GivenToken& self) { return nb::hash(token_tuple(self)); })
      .def("__repr__", [](const GivenToken& self) {
        nb::object shown = token_tuple(self);
        return nb::str("Token(id={}, value={!r}, offsets={})").format(shown[0], shown[1], shown[2]);
      });
  register_normalized(module);
  register_pre_tokenized(module);
}
