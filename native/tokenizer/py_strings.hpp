// NormalizedString and PreTokenizedString: texts on their way through the pipeline, as Python sees them.
#pragma once

#include <nanobind/nanobind.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "text/pretokenizers.hpp"
#include "tokenizer/encoding.hpp"

namespace enfold {

// The text as it was given. Objects lent to a callback share the caller's bytes; keep() makes a copy for those that
// outlive the call.
class Source {
 public:
  explicit Source(std::string_view text) : text_(text) {}
  static std::shared_ptr<Source> owning(std::string_view text) {
    auto made = std::make_shared<Source>(text);
    made->keep();
    return made;
  }
  void keep() {
    kept_ = text_;
    text_ = kept_;
  }
  size_t size() const { return text_.size(); }
  std::string_view all() const { return text_; }
  // Between characters and bytes, in constant time.
  size_t byte_of(size_t character);
  std::optional<size_t> char_of(size_t byte);
  // Turns a range of bytes into one of characters; a range that begins outside stays as it is.
  void to_chars(size_t& begin, size_t& end);
  std::string_view between(Span chars);

 private:
  static constexpr size_t kStep = 64;
  void mark();
  std::string kept_;
  std::string_view text_;
  std::vector<size_t> marks_;  // the byte at which every kStep-th character begins; empty until asked for
  size_t chars_ = 0;
};
using SourcePtr = std::shared_ptr<Source>;

struct NormalizedString {
  SourcePtr source;
  Text text;
  bool ended = false;  // it was lent, and the call is over

  static NormalizedString from(std::string_view text);
  // The object, if it may still be used.
  Text& use();
  // Part of it by bytes of the normalized text.
  NormalizedString part(size_t begin, size_t end) const { return {source, text.slice(begin, end)}; }
};

struct PreTokenizedString {
  SourcePtr source;
  std::vector<Split> splits;
  bool ended = false;

  static PreTokenizedString from(std::string_view text);
  std::vector<Split>& use();
};

// Lends a text to a Python callable: call(object) is made with a NormalizedString that is worthless afterwards, and what
// it became is written back.
template <class Call>
void lend(Text& text, const SourcePtr& source, Call call) {
  namespace nb = nanobind;
  nb::object object = nb::cast(NormalizedString{source, std::move(text)}, nb::rv_policy::move);
  auto* lent = nb::inst_ptr<NormalizedString>(object);
  struct Return {
    NormalizedString* lent;
    Text& text;
    ~Return() {
      text = std::move(lent->text);
      lent->text = Text();
      lent->ended = true;
    }
  } back{lent, text};
  call(object);
}

}  // namespace enfold
