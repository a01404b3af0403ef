#include "tokenizer/py_custom.hpp"

#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <stdexcept>

#include "text/normalizers.hpp"
#include "text/pretokenizers.hpp"
#include "tokenizer/decode.hpp"
#include "tokenizer/py_strings.hpp"

namespace nb = nanobind;

namespace enfold {
namespace {

// A Python object that threads without the interpreter's lock may hold and let go.
class Held {
 public:
  explicit Held(nb::object object) : object_(object.release().ptr()) {}
  Held(const Held&) = delete;
  ~Held() {
    if (!Py_IsInitialized()) return;
    nb::gil_scoped_acquire gil;
    Py_DECREF(object_);
  }
  nb::handle get() const { return object_; }

 private:
  PyObject* object_;
};

// What Python keeps of a text that was lent gets a copy of the original to stand on, also when the call failed.
struct LentSource {
  SourcePtr source;
  explicit LentSource(std::string_view text) : source(std::make_shared<Source>(text)) {}
  ~LentSource() {
    if (source.use_count() > 1) source->keep();
  }
};

struct PythonNormalizer final : Normalizer {
  Held object;
  explicit PythonNormalizer(nb::object object) : object(std::move(object)) {}
  void run(Text& text) const override {
    nb::gil_scoped_acquire gil;
    if (!text.tracked) {
      // A plain text: give it alignments for the time of the call.
      std::string before = text.bytes;
      Text tracked = Text::from(before, true);
      run(tracked);
      text.bytes = std::move(tracked.bytes);
      return;
    }
    LentSource lent_source(text.source);
    lend(text, lent_source.source, [&](nb::handle lent) { object.get().attr("normalize")(lent); });
  }
};

struct PythonPreTokenizer final : PreTokenizer {
  Held object;
  explicit PythonPreTokenizer(nb::object object) : object(std::move(object)) {}
  void run(std::vector<Split>& splits, bool) const override {
    nb::gil_scoped_acquire gil;
    LentSource lent_source(splits.empty() ? std::string_view() : splits[0].text.source);
    nb::object made = nb::cast(PreTokenizedString{lent_source.source, std::move(splits)}, nb::rv_policy::move);
    struct Return {
      PreTokenizedString* lent;
      std::vector<Split>& splits;
      ~Return() {
        splits = std::move(lent->splits);
        lent->splits.clear();
        lent->ended = true;
      }
    };
    Return back{nb::inst_ptr<PreTokenizedString>(made), splits};
    object.get().attr("pre_tokenize")(made);
  }
};

struct PythonDecoder final : Decoder {
  Held object;
  explicit PythonDecoder(nb::object object) : object(std::move(object)) {}
  void run(std::vector<std::string>& tokens) const override {
    nb::gil_scoped_acquire gil;
    nb::list given;
    for (const std::string& token : tokens) given.append(nb::steal(PyUnicode_DecodeUTF8(token.data(), Py_ssize_t(token.size()), "replace")));
    if (nb::hasattr(object.get(), "decode_chain")) {
      nb::object made = object.get().attr("decode_chain")(given);
      if (PyUnicode_Check(made.ptr()) || !PySequence_Check(made.ptr())) throw nb::type_error("`decode_chain` must return a list of str");
      tokens.clear();
      for (nb::handle token : made) tokens.push_back(nb::cast<std::string>(token));
    } else {
      nb::object made = object.get().attr("decode")(given);
      if (!PyUnicode_Check(made.ptr())) throw nb::type_error("`decode` must return a str");
      tokens.assign(1, nb::cast<std::string>(made));
    }
  }
};

}  // namespace

PythonParts::PythonParts(nb::dict objects) : objects_(std::move(objects)), before_(known) { known = this; }

nb::object PythonParts::find(int64_t handle) const {
  nb::int_ key(handle);
  if (!objects_.contains(key)) throw std::invalid_argument("no custom component has the handle " + std::to_string(handle));
  return nb::object(objects_[key]);
}

NormalizerPtr PythonParts::normalizer(int64_t handle) const { return std::make_shared<PythonNormalizer>(find(handle)); }
PreTokenizerPtr PythonParts::pre_tokenizer(int64_t handle) const { return std::make_shared<PythonPreTokenizer>(find(handle)); }
DecoderPtr PythonParts::decoder(int64_t handle) const { return std::make_shared<PythonDecoder>(find(handle)); }

}  // namespace enfold
