// Models and the tokenizer's core, as Python sees them. Components arrive as the JSON of their settings.
#include <nanobind/nanobind.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/unique_ptr.h>
#include <nanobind/stl/vector.h>

#include <stdexcept>

#include "arrow/py_strings.hpp"
#include "text/regex/regex.hpp"
#include "text/words.hpp"
#include "tokenizer/check.hpp"
#include "tokenizer/flat/flat.hpp"
#include "tokenizer/lazy_encoding.hpp"
#include "tokenizer/py_columns.hpp"
#include "tokenizer/py_custom.hpp"
#include "tokenizer/py_decode.hpp"
#include "tokenizer/py_strings.hpp"
#include "tokenizer/threads.hpp"
#include "tokenizer/tokenizer.hpp"
#include "tokenizer/train/counter.hpp"
#include "tokenizer/unigram.hpp"

using namespace nb::literals;
using namespace enfold;

namespace {

// A Python str out of text that is UTF-8 by construction.
nb::str to_str(std::string_view text) {
  PyObject* made = PyUnicode_DecodeUTF8(text.data(), Py_ssize_t(text.size()), "replace");
  if (!made) nb::raise_python_error();
  return nb::steal<nb::str>(made);
}

// The strings of a list, a tuple or an array of them, and the objects that hold them.
void read_words(nb::handle words, std::vector<std::string_view>& out, std::vector<nb::object>& keep) {
  for (nb::handle word : words) {
    if (!PyUnicode_Check(word.ptr())) throw nb::type_error("PreTokenizedInputSequence must be Union[List[str], Tuple[str]]");
    keep.push_back(nb::borrow(word));
    out.push_back(utf8(word));
  }
}

void read_sequence(nb::handle sequence, bool words, std::vector<std::string_view>& out, std::vector<nb::object>& keep) {
  if (words) {
    if (PyUnicode_Check(sequence.ptr()) || !nb::hasattr(sequence, "__iter__"))
      throw nb::type_error("PreTokenizedInputSequence must be Union[List[str], Tuple[str]]");
    return read_words(sequence, out, keep);
  }
  if (!PyUnicode_Check(sequence.ptr())) throw nb::type_error("TextInputSequence must be str");
  keep.push_back(nb::borrow(sequence));
  out.push_back(utf8(sequence));
}

Input read_input(nb::handle sequence, nb::handle pair, bool words, std::vector<nb::object>& keep) {
  Input input;
  input.first_words = input.second_words = words;
  read_sequence(sequence, words, input.first, keep);
  if (!pair.is_none()) {
    input.has_second = true;
    read_sequence(pair, words, input.second, keep);
  }
  return input;
}

// One element of a batch: a sequence, or two of them in a tuple or list.
std::pair<nb::object, nb::object> parts(nb::handle item, bool words) {
  // A row of a numpy array with two columns is a pair, too.
  bool rows = PyTuple_Check(item.ptr()) || PyList_Check(item.ptr()) || (!words && !PyUnicode_Check(item.ptr()) && nb::hasattr(item, "__array_interface__"));
  bool two = rows && nb::len(item) == 2;
  if (two && words) two = !PyUnicode_Check(nb::object(item[0]).ptr());
  if (two) return {nb::object(item[0]), nb::object(item[1])};
  if (!words && !PyUnicode_Check(item.ptr()))
    throw nb::type_error("TextEncodeInput must be Union[TextInputSequence, Tuple[InputSequence, InputSequence]]");
  return {nb::borrow(item), nb::none()};
}

// The mutable face of an immutable pipeline.
struct Core {
  PipelinePtr pipeline;
  size_t revision = 0;  // grows with every change

  Core() {
    auto made = std::make_shared<Pipeline>();
    made->scratch = std::make_shared<ScratchPool>();
    made->derived = std::make_shared<Derived>();
    pipeline = made;
  }
  // Makes a changed copy the current one.
  template <class Change>
  void change(Change apply) {
    auto made = std::make_shared<Pipeline>(*pipeline);
    made->derived = std::make_shared<Derived>();
    apply(*made);
    made->scratch = std::make_shared<ScratchPool>(made->model ? made->model->caches : nullptr);
    pipeline = made;
    ++revision;
  }
};

void refresh_added(Pipeline& pipeline) {
  auto added = std::make_shared<AddedVocabulary>(*pipeline.added);
  added->refresh(pipeline.normalizer.get());
  pipeline.added = added;
}

size_t add_tokens(Pipeline& pipeline, const std::vector<AddedToken>& tokens) {
  static const WordLevel nothing;
  auto added = std::make_shared<AddedVocabulary>(*pipeline.added);
  size_t count = added->add(tokens, pipeline.model ? *pipeline.model : static_cast<const Model&>(nothing), pipeline.normalizer.get());
  pipeline.added = added;
  return count;
}

// Reads a whole tokenizer.json; returns the JSON of each component as it stands in the file.
nb::dict load(Core& core, std::string_view source) {
  nb::dict parts;
  std::vector<std::pair<const char*, std::string>> texts;
  {
    nb::gil_scoped_release release;
    JsonDocument document(source);
    const Json& root = document.root;
    check_document(root);
    core.change([&](Pipeline& pipeline) {
      pipeline.model = make_model(root["model"]);
      pipeline.normalizer = make_normalizer(root["normalizer"]);
      pipeline.pre_tokenizer = make_pre_tokenizer(root["pre_tokenizer"]);
      pipeline.post_processor = make_post_processor(root["post_processor"]);
      pipeline.decoder = make_decoder(root["decoder"]);
      pipeline.truncation = make_truncation(root["truncation"]);
      pipeline.padding = make_padding(root["padding"]);
      pipeline.added = std::make_shared<AddedVocabulary>();
      add_tokens(pipeline, make_added_tokens(root["added_tokens"]));
    });
    for (const char* key : {"normalizer", "pre_tokenizer", "post_processor", "decoder"}) texts.emplace_back(key, std::string(root[key].source));
  }
  for (auto& [key, text] : texts) parts[key] = text.empty() || text == "null" ? nb::object(nb::none()) : nb::object(to_str(text));
  return parts;
}

template <class Value>
Value from_json(const std::string& text, Value (*make)(const Json&)) {
  JsonDocument document(text);
  return make(document.root);
}

// As from_json, remembering the last component: calls come many in a row for the same one.
template <class Value>
Value remembered(const std::string& text, Value (*make)(const Json&)) {
  thread_local std::string last;
  thread_local Value value;
  if (last != text) {
    value = from_json(text, make);
    last = text;
  }
  return value;
}

// A component given by its settings and the objects that its custom parts stand for.
template <class Value>
Value with_parts(const std::string& spec, const nb::dict& objects, Value (*make)(const Json&)) {
  if (objects.size() == 0) return remembered(spec, make);
  PythonParts parts(objects);
  return from_json(spec, make);
}

nb::tuple token_tuple(const AddedToken& token) {
  return nb::make_tuple(to_str(token.content), token.single_word, token.lstrip, token.rstrip, token.normalized, token.special);
}

using TokenTuple = std::tuple<std::string, bool, bool, bool, bool, bool>;

TokenColumn count_tokens(const Core& core, nb::handle column, bool add_special_tokens) {
  PipelinePtr pipeline = core.pipeline;
  Column texts;
  FlatRequest request;
  read_column(column, texts);
  request.first = std::move(texts.views);
  request.add_special_tokens = add_special_tokens;
  request.count_only = true;
  std::shared_ptr<FlatBatch> batch;
  {
    nb::gil_scoped_release release;
    batch = encode_flat(*pipeline, request);
  }
  const int32_t* counts = batch->ids.get();
  return {std::move(batch), counts, 0, 1};
}

nb::dict encode_arrow(const Core& core, nb::handle column, nb::handle pair, bool add_special_tokens, std::optional<size_t> max_length,
                      const std::vector<std::string>& fields) {
  PipelinePtr pipeline = core.pipeline;
  Column first, second;
  FlatRequest request;
  read_column(column, first);
  request.first = std::move(first.views);
  if (!pair.is_none()) {
    request.pair = true;
    read_column(pair, second);
    request.second = std::move(second.views);
    if (request.second.size() != request.first.size())
      throw nb::value_error(("the columns differ in length: " + std::to_string(request.first.size()) + " and " + std::to_string(request.second.size())).c_str());
  }
  request.add_special_tokens = add_special_tokens;
  if (max_length) request.max_length = *max_length;
  request.want_type_ids = request.want_attention = false;
  for (const std::string& field : fields) {
    if (field == "token_type_ids") request.want_type_ids = true;
    else if (field == "attention_mask") request.want_attention = true;
    else if (field == "special_tokens_mask") request.want_special = true;
    else if (field != "input_ids")
      throw nb::value_error(("unknown field \"" + field + "\"; known are input_ids, token_type_ids, attention_mask, special_tokens_mask").c_str());
  }
  std::shared_ptr<FlatBatch> batch;
  {
    nb::gil_scoped_release release;
    batch = encode_flat(*pipeline, request);
  }
  nb::dict made;
  for (const std::string& field : fields) {
    const int32_t* data = field == "input_ids" ? batch->ids.get() : field == "token_type_ids" ? batch->type_ids.get()
                          : field == "attention_mask" ? batch->attention.get() : batch->special.get();
    made[field.c_str()] = nb::cast(TokenColumn{batch, data, 0, request.first.size()});
  }
  return made;
}

BatchItem batch_item(nb::handle sequence, nb::handle pair, bool words, std::vector<nb::object>& keep) {
  BatchItem made;
  if (words) {
    made.words = std::make_unique<Input>(read_input(sequence, pair, true, keep));
    return made;
  }
  Input input = read_input(sequence, pair, false, keep);
  made.text = nb::borrow(sequence);
  made.first = input.first[0];
  if (input.has_second) {
    made.pair = nb::borrow(pair);
    made.second = input.second[0];
  }
  return made;
}

nb::object encode_one(const Core& core, nb::handle sequence, nb::handle pair, bool words, bool add_special_tokens) {
  std::vector<nb::object> keep;
  std::vector<BatchItem> items;
  items.push_back(batch_item(sequence, pair, words, keep));
  return nb::cast(std::move(encode_lazily(core.pipeline, items, add_special_tokens)[0]));
}

nb::list encode_batch(const Core& core, nb::handle inputs, bool words, bool add_special_tokens) {
  std::vector<nb::object> keep;
  std::vector<BatchItem> items;
  for (nb::handle item : inputs) {
    if (!words && PyUnicode_Check(item.ptr())) {
      BatchItem& made = items.emplace_back();
      made.text = nb::borrow(item);
      made.first = utf8(item);
      continue;
    }
    auto [sequence, pair] = parts(item, words);
    items.push_back(batch_item(sequence, pair, words, keep));
  }
  std::vector<LazyEncoding> made = encode_lazily(core.pipeline, items, add_special_tokens);
  nb::list out;
  for (LazyEncoding& encoding : made) out.append(nb::cast(std::move(encoding)));
  return out;
}

std::vector<std::tuple<std::string, std::pair<uint32_t, uint32_t>>> pre_tokenize(const std::string& spec, nb::handle text, nb::dict objects) {
  PreTokenizerPtr pre_tokenizer = with_parts(spec, objects, make_pre_tokenizer);
  std::vector<Split> splits(1);
  splits[0].text = Text::from(utf8(text), true);
  if (splits[0].text.empty()) splits.clear();
  pre_tokenizer->run(splits, true);
  std::vector<std::tuple<std::string, std::pair<uint32_t, uint32_t>>> made;
  for (const Split& split : splits) {
    Span span = split.text.origin;
    made.emplace_back(split.text.bytes, std::pair(span.begin, span.end));
  }
  return made;
}

}  // namespace

void register_tokenizer(nb::module_& module) {
  nb::class_<Model>(module, "Model", nb::is_weak_referenceable())
      .def_static("from_json", [](const std::string& text) { return from_json(text, make_model); }, "text"_a)
      .def_static("unigram", [](std::vector<std::pair<std::string, double>> vocab, std::optional<size_t> unk_id, bool byte_fallback) {
        return std::static_pointer_cast<Model>(std::make_shared<Unigram>(std::move(vocab), unk_id, byte_fallback));
      }, "vocab"_a, "unk_id"_a.none(), "byte_fallback"_a)
      .def("sampling", [](const Model& self) -> std::pair<std::optional<double>, std::optional<size_t>> {
        const auto& unigram = dynamic_cast<const Unigram&>(self);
        return {unigram.alpha, unigram.nbest_size};
      })
      .def("with_sampling", [](const Model& self, std::optional<double> alpha, std::optional<size_t> nbest_size) {
        return std::static_pointer_cast<Model>(dynamic_cast<const Unigram&>(self).with_sampling(alpha, nbest_size));
      }, "alpha"_a.none(), "nbest_size"_a.none())
      .def("pieces", [](const Model& self) {
        nb::list made;
        if (const auto* unigram = dynamic_cast<const Unigram*>(&self))
          for (size_t id = 0; id < unigram->scores.size(); ++id) made.append(nb::make_tuple(to_str(self.vocab.token(int64_t(id))), unigram->scores[id]));
        return made;
      })
      .def("to_json", [](const Model& self, bool options_only) { return to_str(self.to_json(options_only)); }, "options_only"_a = false)
      .def("token_to_id", [](const Model& self, const std::string& token) -> std::optional<int32_t> {
        int32_t id = self.vocab.find(token);
        return id < 0 ? std::nullopt : std::optional(id);
      })
      .def("id_to_token", [](const Model& self, int64_t id) -> nb::object {
        return self.vocab.has_id(id) ? nb::object(to_str(self.vocab.token(id))) : nb::object(nb::none());
      })
      .def("size", [](const Model& self) { return self.size(); })
      .def("clear_cache", [](const Model& self) { ++self.caches->age; })
      .def("resize_cache", [](const Model& self, size_t words) {
        self.caches->words = words;
        ++self.caches->age;
      }, "words"_a)
      .def("get_vocab", [](const Model& self) {
        nb::dict made;
        self.vocab.each([&](std::string_view token, uint32_t id) { made[to_str(token)] = id; });
        return made;
      })
      .def("tokenize", [](const Model& self, const std::string& text) {
        std::vector<Piece> pieces;
        self.tokenize(text, pieces);
        nb::list made;
        for (const Piece& piece : pieces) {
          std::string_view name = self.keeps_text(piece.id) ? std::string_view(text).substr(piece.begin, piece.end - piece.begin) : self.vocab.token(piece.id);
          made.append(nb::make_tuple(piece.id, to_str(name), nb::make_tuple(piece.begin, piece.end)));
        }
        return made;
      })
      .def("merges", [](const Model& self) {
        nb::list made;
        if (const auto* bpe = dynamic_cast<const Bpe*>(&self))
          for (auto [left, right] : bpe->merges) made.append(nb::make_tuple(to_str(bpe->vocab.token(left)), to_str(bpe->vocab.token(right))));
        return made;
      });

  nb::class_<Core>(module, "Tokenizer", nb::is_weak_referenceable())
      .def(nb::init<>())
      .def("load", [](Core& self, nb::bytes source) { return load(self, {source.c_str(), source.size()}); }, "source"_a)
      .def("copy", [](const Core& self) { return Core(self); })
      .def("word_counter", [](const Core& self) { return std::make_unique<WordCounter>(self.pipeline); })
      .def_prop_ro("revision", [](const Core& self) { return self.revision; })
      .def_prop_ro("model", [](const Core& self) { return self.pipeline->model; })
      .def("set_model", [](Core& self, std::shared_ptr<Model> model) { self.change([&](Pipeline& p) { p.model = model; }); })
      .def("set_normalizer", [](Core& self, const std::string& spec, nb::dict objects) {
        PythonParts parts(objects);
        self.change([&](Pipeline& p) { p.normalizer = from_json(spec, make_normalizer), p.custom |= objects.size() > 0, refresh_added(p); });
      })
      .def("set_pre_tokenizer", [](Core& self, const std::string& spec, nb::dict objects) {
        PythonParts parts(objects);
        self.change([&](Pipeline& p) { p.pre_tokenizer = from_json(spec, make_pre_tokenizer), p.custom |= objects.size() > 0; });
      })
      .def("set_post_processor", [](Core& self, const std::string& spec, nb::dict) { self.change([&](Pipeline& p) { p.post_processor = from_json(spec, make_post_processor); }); })
      .def("set_decoder", [](Core& self, const std::string& spec, nb::dict objects) {
        PythonParts parts(objects);
        self.change([&](Pipeline& p) { p.decoder = from_json(spec, make_decoder); });
      })
      .def("set_truncation", [](Core& self, const std::string& spec) { self.change([&](Pipeline& p) { p.truncation = from_json(spec, make_truncation); }); })
      .def("set_padding", [](Core& self, const std::string& spec) { self.change([&](Pipeline& p) { p.padding = from_json(spec, make_padding); }); })
      .def_prop_rw("encode_special_tokens", [](const Core& self) { return self.pipeline->encode_special_tokens; },
                   [](Core& self, bool value) { self.change([&](Pipeline& p) { p.encode_special_tokens = value; }); })
      .def_prop_ro("truncation", [](const Core& self) -> nb::object {
        if (!self.pipeline->truncation) return nb::none();
        const Truncation& t = *self.pipeline->truncation;
        const char* names[] = {"longest_first", "only_first", "only_second"};
        return nb::make_tuple(t.max_length, t.stride, names[t.strategy], t.left ? "left" : "right");
      })
      .def_prop_ro("padding", [](const Core& self) -> nb::object {
        if (!self.pipeline->padding) return nb::none();
        const Padding& p = *self.pipeline->padding;
        return nb::make_tuple(p.length, p.multiple, p.id, p.token, p.type_id, p.left ? "left" : "right");
      })
      .def("added", [](const Core& self) {
        nb::dict made;
        for (const auto& [id, token] : self.pipeline->added->by_id()) made[nb::int_(id)] = token_tuple(token);
        return made;
      })
      .def("add_tokens", [](Core& self, const std::vector<TokenTuple>& tokens) {
        std::vector<AddedToken> made;
        for (const auto& [content, single_word, lstrip, rstrip, normalized, special] : tokens)
          made.push_back({content, single_word, lstrip, rstrip, normalized, special});
        size_t count = 0;
        self.change([&](Pipeline& p) { count = add_tokens(p, made); });
        return count;
      })
      .def("vocab_size", [](const Core& self, bool with_added) {
        const Pipeline& p = *self.pipeline;
        if (!p.model) return with_added ? p.added->by_id().size() : size_t(0);
        return p.model->size() + (with_added ? p.added->count_outside(*p.model) : 0);
      })
      .def("token_to_id", [](const Core& self, const std::string& token) -> std::optional<int32_t> {
        int32_t id = self.pipeline->token_to_id(token);
        return id < 0 ? std::nullopt : std::optional(id);
      })
      .def("id_to_token", [](const Core& self, int64_t id) -> nb::object {
        std::string token;
        return self.pipeline->id_to_token(id, token) ? nb::object(to_str(token)) : nb::object(nb::none());
      })
      .def("num_special_tokens", [](const Core& self, bool pair) {
        return self.pipeline->post_processor ? self.pipeline->post_processor->added(pair) : 0;
      })
      .def("encode", &encode_one, "sequence"_a, "pair"_a.none(), "is_pretokenized"_a, "add_special_tokens"_a)
      .def("encode_batch", &encode_batch)
      .def("count_tokens", &count_tokens, "column"_a, "add_special_tokens"_a)
      .def("encode_arrow", &encode_arrow, "column"_a, "pair"_a.none(), "add_special_tokens"_a, "max_length"_a.none(), "fields"_a)
      .def("post_process", [](const Core& self, const LazyEncoding& first, const LazyEncoding* second, bool add_special_tokens) {
        return LazyEncoding(self.pipeline->finish(first.full(), second ? std::optional(second->full()) : std::nullopt, add_special_tokens));
      }, "first"_a, "second"_a.none(), "add_special_tokens"_a)
      .def("decode", [](const Core& self, nb::handle ids, bool skip) { return decode_ids(self.pipeline, ids, skip); })
      .def("decode_batch", [](const Core& self, nb::handle rows, bool skip) { return decode_rows(self.pipeline, rows, skip); })
      .def("decode_step", [](const Core& self, nb::handle stream, nb::handle ids) { return decode_step(self.pipeline, stream, ids); });

  module.def("indent_json", [](nb::handle text) { return to_str(json_indent(utf8(text))); });
  module.def("normalize_str", [](const std::string& spec, nb::handle text, nb::dict objects) {
    NormalizerPtr normalizer = with_parts(spec, objects, make_normalizer);
    Text made = Text::from(utf8(text), true);
    normalizer->run(made);
    return to_str(made.bytes);
  }, "spec"_a, "text"_a, "objects"_a = nb::dict());
  module.def("normalize", [](const std::string& spec, NormalizedString& text, nb::dict objects) {
    NormalizerPtr normalizer = with_parts(spec, objects, make_normalizer);
    text.use().source = text.source->all();
    normalizer->run(text.text);
  }, "spec"_a, "text"_a, "objects"_a = nb::dict());
  module.def("pre_tokenize_str", &pre_tokenize, "spec"_a, "text"_a, "objects"_a = nb::dict());
  module.def("check_regex", [](const std::string& pattern) { regex::Regex checked(pattern); });
  // Where the words of a text end by a known pattern, one by one or many at a time; None for an unknown pattern.
  module.def("word_ends", [](const std::string& pattern, nb::handle given, bool many) -> std::optional<std::vector<size_t>> {
    Scanner scan = find_scanner(pattern);
    if (pattern == "digits") scan = scan_gpt2_digits;
    if (!scan) return std::nullopt;
    WordScanner words = many ? word_scanner(scan) : nullptr;
    std::string_view text = utf8(given);
    std::vector<size_t> ends;
    for (size_t at = 0; at < text.size();) {
      size_t found[128], count = 1;
      bool high = false;
      at = words ? words(text, at, found, 128, count, high) : (found[0] = scan(text, at));
      ends.insert(ends.end(), found, found + count);
    }
    return ends;
  }, "pattern"_a, "text"_a, "many"_a);
  module.def("pre_tokenize", [](const std::string& spec, PreTokenizedString& text, nb::dict objects) {
    PreTokenizerPtr pre_tokenizer = with_parts(spec, objects, make_pre_tokenizer);
    for (Split& split : text.use()) split.text.source = text.source->all();
    pre_tokenizer->run(text.splits, true);
  }, "spec"_a, "text"_a, "objects"_a = nb::dict());
  module.def("decode_tokens", [](const std::string& spec, std::vector<std::string> tokens, nb::dict objects) {
    with_parts(spec, objects, make_decoder)->run(tokens);
    std::string text;
    for (const std::string& token : tokens) text += token;
    return to_str(text);
  }, "spec"_a, "tokens"_a, "objects"_a = nb::dict());
  module.def("process_encodings", [](const std::string& spec, const LazyEncoding& first, const LazyEncoding* second, bool add_special_tokens) {
    Pipeline pipeline;
    pipeline.post_processor = from_json(spec, make_post_processor);
    return LazyEncoding(pipeline.finish(first.full(), second ? std::optional(second->full()) : std::nullopt, add_special_tokens));
  }, "spec"_a, "first"_a, "second"_a.none(), "add_special_tokens"_a);
  module.def("num_special_tokens", [](const std::string& spec, bool pair) { return from_json(spec, make_post_processor)->added(pair); });
  module.def("byte_alphabet", [] {
    nb::list made;
    for (int byte = 0; byte < 256; ++byte) {
      std::string text;
      utf8_append(byte_char((unsigned char)byte), text);
      made.append(to_str(text));
    }
    return made;
  });
  module.def("thread_count", &thread_count);
}
