// Training as Python sees it: a counter that is fed, and functions that make a model of its words.
#include <nanobind/nanobind.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <stdexcept>

#include "arrow/py_strings.hpp"
#include "text/utf8.hpp"
#include "tokenizer/train/bpe.hpp"
#include "tokenizer/train/counter.hpp"
#include "tokenizer/train/parity.hpp"
#include "tokenizer/train/unigram.hpp"
#include "tokenizer/train/word_level.hpp"
#include "tokenizer/unigram.hpp"

using namespace nb::literals;
using namespace enfold;

namespace {

constexpr size_t kFeedBytes = 64 << 20;  // between two looks for Ctrl-C

void feed(WordCounter& counter, nb::handle column) {
  Column texts;
  read_column(column, texts);
  for (size_t row = 0; row < texts.views.size();) {
    std::vector<std::string_view> part;
    for (size_t bytes = 0; row < texts.views.size() && bytes < kFeedBytes; ++row) {
      part.push_back(texts.views[row]);
      bytes += texts.views[row].size() + 16;
    }
    {
      nb::gil_scoped_release release;
      counter.feed(part);
    }
    if (PyErr_CheckSignals()) nb::raise_python_error();
  }
}

// Counts the lines of a part of a file; returns where it stops being UTF-8, or -1.
int64_t feed_lines(WordCounter& counter, const nb::bytes& block, size_t size) {
  std::string_view text(block.c_str(), std::min(size, block.size()));
  nb::gil_scoped_release release;
  size_t bad = utf8_invalid(text);
  if (bad != std::string_view::npos) return int64_t(bad);
  counter.feed_lines(text);
  return -1;
}

// Called without the GIL, on the thread that trains.
Watch watch(nb::handle report) {
  return [report](const char* stage, size_t done, size_t total) {
    nb::gil_scoped_acquire acquire;
    if (PyErr_CheckSignals()) nb::raise_python_error();
    if (!report.is_none()) report(stage, done, total);
  };
}

std::vector<char32_t> code_points(std::string_view text) {
  std::vector<char32_t> made;
  for (size_t at = 0; at < text.size();) made.push_back(utf8_next(text, at));
  return made;
}

// A BPE with other tokens: its options stay, but for the prefix and the suffix, which are the trainer's.
ModelPtr retrained(const Bpe& base, BpeResult made, std::optional<std::string> prefix, std::optional<std::string> suffix) {
  auto model = std::make_shared<Bpe>(base);
  model->vocab = std::move(made.vocab);
  model->merges = std::move(made.merges);
  model->prefix = std::move(prefix);
  model->suffix = std::move(suffix);
  model->prepare();
  return model;
}

ModelPtr train_bpe_model(WordCounter& counter, const Model& base, nb::handle report, size_t vocab_size, uint64_t min_frequency,
                         std::vector<std::string> special_tokens, std::optional<size_t> limit_alphabet, nb::str initial_alphabet,
                         std::optional<std::string> prefix, std::optional<std::string> suffix, std::optional<size_t> max_token_length) {
  BpeOptions options{vocab_size, min_frequency, std::move(special_tokens), limit_alphabet, max_token_length,
                     code_points(utf8(initial_alphabet)), prefix, suffix};
  Watch watching = watch(report);
  nb::gil_scoped_release release;
  BpeResult made = train_bpe(counter.words(), options, watching);
  if (const auto* bpe = dynamic_cast<const Bpe*>(&base)) return retrained(*bpe, std::move(made), prefix, suffix);
  if (const auto* pieces = dynamic_cast<const WordPiece*>(&base)) {
    auto model = std::make_shared<WordPiece>();
    model->unk_token = pieces->unk_token;
    model->max_chars = pieces->max_chars;
    model->vocab = std::move(made.vocab);
    model->prefix = prefix.value_or("##");
    return model;
  }
  throw std::invalid_argument("only a BPE and a WordPiece are made of merges");
}

ModelPtr train_parity_model(const std::vector<WordCounter*>& counters, const std::vector<WordCounter*>& dev, const Model& base, nb::handle report,
                            size_t num_merges, size_t global_merges, bool window, size_t window_size, double alpha, std::vector<double> ratio,
                            bool total_symbols, uint64_t min_frequency, std::vector<std::string> special_tokens,
                            std::optional<size_t> limit_alphabet, nb::str initial_alphabet, std::optional<std::string> prefix,
                            std::optional<std::string> suffix, std::optional<size_t> max_token_length) {
  const auto* bpe = dynamic_cast<const Bpe*>(&base);
  if (!bpe) throw std::invalid_argument("only a BPE is made of merges for several languages");
  BpeOptions merges{0, min_frequency, std::move(special_tokens), limit_alphabet, max_token_length, code_points(utf8(initial_alphabet)), prefix, suffix};
  ParityOptions options{std::move(merges), num_merges, global_merges, window, window_size, alpha, std::move(ratio), total_symbols};
  Watch watching = watch(report);
  nb::gil_scoped_release release;
  auto words = [](const std::vector<WordCounter*>& all) {
    std::vector<const std::vector<WordCount>*> lists;
    for (WordCounter* counter : all) lists.push_back(&counter->words());
    return lists;
  };
  return retrained(*bpe, train_parity(words(counters), words(dev), options, watching), prefix, suffix);
}

ModelPtr train_word_level_model(WordCounter& counter, const Model& base, size_t vocab_size, uint64_t min_frequency,
                                const std::vector<std::string>& special_tokens) {
  const auto* level = dynamic_cast<const WordLevel*>(&base);
  if (!level) throw std::invalid_argument("only a WordLevel is made of words");
  nb::gil_scoped_release release;
  auto model = std::make_shared<WordLevel>();
  model->unk_token = level->unk_token;
  model->vocab = train_word_level(counter.words(), vocab_size, min_frequency, special_tokens);
  return model;
}

ModelPtr train_unigram_model(WordCounter& counter, const Model& base, nb::handle report, size_t vocab_size, size_t n_sub_iterations,
                             double shrinking_factor, std::vector<std::string> special_tokens, nb::str initial_alphabet,
                             std::optional<std::string> unk_token, size_t max_piece_length, size_t seed_size) {
  const auto* unigram = dynamic_cast<const Unigram*>(&base);
  if (!unigram) throw std::invalid_argument("only a Unigram is made of pieces with scores");
  UnigramOptions options{vocab_size, n_sub_iterations, shrinking_factor, std::move(special_tokens), code_points(utf8(initial_alphabet)),
                         std::move(unk_token), max_piece_length, seed_size};
  Watch watching = watch(report);
  nb::gil_scoped_release release;
  UnigramResult made = train_unigram(counter.words(), options, watching);
  return Unigram(std::move(made.pieces), made.unk_id, false).with_sampling(unigram->alpha, unigram->nbest_size);
}

}  // namespace

void register_training(nb::module_& module) {
  nb::class_<WordCounter>(module, "WordCounter")
      .def("feed", &feed, "column"_a)
      .def("feed_lines", &feed_lines, "block"_a, "size"_a)
      .def("size", [](WordCounter& self) { return self.words().size(); });
  module.def("train_bpe", &train_bpe_model, "counter"_a, "model"_a, "report"_a.none(), "vocab_size"_a, "min_frequency"_a, "special_tokens"_a,
             "limit_alphabet"_a.none(), "initial_alphabet"_a, "continuing_subword_prefix"_a.none(), "end_of_word_suffix"_a.none(),
             "max_token_length"_a.none());
  module.def("train_parity", &train_parity_model, "counters"_a, "dev"_a, "model"_a, "report"_a.none(), "num_merges"_a, "global_merges"_a, "window"_a,
             "window_size"_a, "alpha"_a, "ratio"_a, "total_symbols"_a, "min_frequency"_a, "special_tokens"_a, "limit_alphabet"_a.none(),
             "initial_alphabet"_a, "continuing_subword_prefix"_a.none(), "end_of_word_suffix"_a.none(), "max_token_length"_a.none());
  module.def("train_unigram", &train_unigram_model, "counter"_a, "model"_a, "report"_a.none(), "vocab_size"_a, "n_sub_iterations"_a,
             "shrinking_factor"_a, "special_tokens"_a, "initial_alphabet"_a, "unk_token"_a.none(), "max_piece_length"_a, "seed_size"_a);
  module.def("train_word_level", &train_word_level_model, "counter"_a, "model"_a, "vocab_size"_a, "min_frequency"_a, "special_tokens"_a);
}
