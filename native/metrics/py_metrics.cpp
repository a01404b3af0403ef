// The Python face of the metrics on texts: enfold._native.TextPairs. Counts are handed over as bytes of int64.
#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <stdexcept>

#include "arrow/py_strings.hpp"
#include "metrics/pairs.hpp"
#include "metrics/sequences.hpp"

namespace enfold::metrics {
namespace {

nb::bytes as_bytes(const std::vector<int64_t>& values) {
  return nb::bytes(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(int64_t));
}

Cut cut_of(const std::string& name) {
  if (name == "characters") return Cut::characters;
  if (name == "space") return Cut::space;
  if (name == "spaces") return Cut::spaces;
  if (name == "alphanumeric") return Cut::alphanumeric;
  throw nb::value_error("cut is 'characters', 'space', 'spaces' or 'alphanumeric'");
}

// Texts are either str, which the reader cuts, or lists of tokens.
void read_texts(Reader& reader, nb::handle texts, std::vector<Column>& kept, Texts& out) {
  if (nb::isinstance<nb::list>(texts) && nb::len(texts) && nb::isinstance<nb::list>(nb::object(texts[0]))) {
    for (nb::handle text : nb::borrow<nb::list>(texts)) {
      read_column(text, kept.emplace_back());
      reader.read(kept.back().views, out);
    }
    return;
  }
  read_column(texts, kept.emplace_back());
  std::vector<std::string_view> views = kept.back().views;
  for (std::string_view text : views) reader.read(text, out);
}

Pairs make_pairs(nb::handle said, nb::handle right, const std::vector<size_t>& counts, const std::string& cut,
                 nb::object pieces) {
  Pieces call;
  if (!pieces.is_none()) {
    call = [pieces](std::string_view word) {
      return nb::cast<std::vector<std::string>>(pieces(nb::str(word.data(), word.size())));
    };
  }
  Reader reader(cut_of(cut), std::move(call));
  std::vector<Column> kept;  // the strings that the reader's words are views into
  Pairs pairs;
  read_texts(reader, said, kept, pairs.said);
  read_texts(reader, right, kept, pairs.right);
  pairs.first.push_back(0);
  for (size_t count : counts) pairs.first.push_back(pairs.first.back() + count);
  if (counts.size() != pairs.said.size() || pairs.first.back() != pairs.right.size())
    throw nb::value_error("counts must say for each text how many others it is held against");
  return pairs;
}

nb::tuple lengths(const Pairs& pairs) {
  std::vector<int64_t> said, right;
  for (size_t i = 0; i < pairs.said.size(); ++i) said.push_back(int64_t(pairs.said[i].size()));
  for (size_t i = 0; i < pairs.right.size(); ++i) right.push_back(int64_t(pairs.right[i].size()));
  return nb::make_tuple(as_bytes(said), as_bytes(right));
}

nb::bytes ngrams(const Pairs& pairs, size_t order, bool merged) {
  if (order < 1 || order > 1000) throw nb::value_error("the order of n-grams is between 1 and 1000");
  std::vector<int64_t> shared((merged ? pairs.size() : pairs.right.size()) * order);
  {
    nb::gil_scoped_release released;
    pairs.each([&](size_t begin, size_t end) {
      NgramCounter counter;
      for (size_t i = begin; i < end; ++i) {
        if (merged) counter.count(pairs, i, pairs.first[i], pairs.first[i + 1], order, &shared[i * order]);
        else
          for (size_t other = pairs.first[i]; other < pairs.first[i + 1]; ++other)
            counter.count(pairs, i, other, other + 1, order, &shared[other * order]);
      }
    });
  }
  return as_bytes(shared);
}

// One number for each right text: measure(aligner, said text, right text).
template <class Worker, class Measure>
nb::bytes each_pair(const Pairs& pairs, Measure measure) {
  std::vector<int64_t> found(pairs.right.size());
  {
    nb::gil_scoped_release released;
    pairs.each([&](size_t begin, size_t end) {
      Worker worker;
      for (size_t i = begin; i < end; ++i)
        for (size_t other = pairs.first[i]; other < pairs.first[i + 1]; ++other) found[other] = measure(worker, i, other);
    });
  }
  return as_bytes(found);
}

}  // namespace
}  // namespace enfold::metrics

void register_metrics(nb::module_& module) {
  using namespace enfold::metrics;
  nb::class_<Pairs>(module, "TextPairs",
                    "Texts, each held against one or several others: what they share and how they differ.")
      .def("__init__",
           [](Pairs* self, nb::handle said, nb::handle right, const std::vector<size_t>& counts, const std::string& cut,
              nb::object pieces) { new (self) Pairs(make_pairs(said, right, counts, cut, std::move(pieces))); },
           nb::arg("said"), nb::arg("right"), nb::arg("counts"), nb::arg("cut") = "space",
           nb::arg("pieces") = nb::none())
      .def("__len__", &Pairs::size)
      .def("lengths", &lengths, "The numbers of tokens of the said and of the right texts.")
      .def("ngrams", &ngrams, nb::arg("order"), nb::arg("merged"),
           "Shared n-grams of orders 1 to `order`: a row for each said text (merged) or for each right text.")
      .def("edits",
           [](const Pairs& pairs) {
             return each_pair<Aligner>(pairs, [&](Aligner& aligner, size_t i, size_t other) {
               return aligner.edits(pairs.said[i], pairs.right[other]);
             });
           },
           "Levenshtein distances.")
      .def("common",
           [](const Pairs& pairs) {
             return each_pair<Aligner>(pairs, [&](Aligner& aligner, size_t i, size_t other) {
               return aligner.common(pairs.said[i], pairs.right[other]);
             });
           },
           "Lengths of longest common subsequences.")
      .def("union",
           [](const Pairs& pairs) {
             return each_pair<Aligner>(pairs, [&](Aligner& aligner, size_t i, size_t other) {
               std::vector<Tokens> said, right;
               pairs.said.split(i, said);
               pairs.right.split(other, right);
               return aligner.union_hits(said, right);
             });
           },
           "Tokens of the right lines on a common subsequence with any said line.")
      .def("translation_edits",
           [](const Pairs& pairs) {
             return each_pair<TranslationEdits>(pairs, [&](TranslationEdits& edits, size_t i, size_t other) {
               return edits(pairs.said[i], pairs.right[other]);
             });
           },
           "Edits after shifts of phrases.");
}
