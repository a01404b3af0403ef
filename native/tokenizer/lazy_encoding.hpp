// Encoding, as Python holds it: the ids of one input, and all else when it is asked for.
#pragma once

#include <nanobind/nanobind.h>

#include <memory>
#include <vector>

#include "tokenizer/derived.hpp"
#include "tokenizer/tokenizer.hpp"

namespace enfold {

namespace nb = nanobind;

// What the encodings of some neighbouring rows share: their ids one after the other, special tokens included.
struct EncodedRows {
  PipelinePtr pipeline;
  bool add_special_tokens = true;
  std::vector<int32_t> ids;
};

// Either a row of EncodedRows and the texts it came from, or an Encoding with every field filled in. The first becomes the
// second when it is changed, or asked for something rare. Not for several threads at once: Python's lock guards it.
class LazyEncoding {
 public:
  LazyEncoding() : full_(std::make_unique<Encoding>()) {}
  explicit LazyEncoding(Encoding full) : full_(std::make_unique<Encoding>(std::move(full))) {}
  // `at` and `count`: its ids in `rows`; `first`: how many of them are the first text's. `pair` is invalid for one text.
  LazyEncoding(std::shared_ptr<const EncodedRows> rows, size_t at, size_t count, size_t first, nb::object text, nb::object pair)
      : rows_(std::move(rows)), at_(uint32_t(at)), count_(uint32_t(count)), first_(uint32_t(first)), texts_{std::move(text), std::move(pair)} {}

  size_t size() const { return full_ ? full_->size() : size_t(count_) + padding_; }
  // Pads it to `length`. `padding`: its pipeline's.
  void pad_to(size_t length, const Padding& padding);

  // Every field filled in.
  const Encoding& full() const;
  Encoding& full() { return const_cast<Encoding&>(std::as_const(*this).full()); }

  // One value a token.
  std::vector<int32_t> ids() const;
  std::vector<int32_t> type_ids() const;
  std::vector<int32_t> words() const;  // -1: none
  std::vector<int32_t> sequence_ids() const;
  std::vector<int32_t> special() const;
  std::vector<int32_t> attention() const;
  std::vector<Span> offsets() const;
  // The ids where they lie, null where they lie nowhere in one piece.
  const int32_t* ids_in_place() const { return full_ ? full_->ids.data() : padding_ ? nullptr : rows_->ids.data() + at_; }
  bool overflows() const { return full_ && !full_->overflowing.empty(); }

 private:
  enum Part { Special, First, Second, Padded };
  // Calls fn(part, begin, count, type id) for every run of tokens.
  template <class Fn>
  void each_run(Fn fn) const;
  template <class Value>
  std::vector<int32_t> column(Value value) const;
  Encoding sequence(int index) const;
  std::string_view text(int index, bool& ascii) const;
  bool place(Span* spans, int32_t* words) const;

  mutable std::shared_ptr<const EncodedRows> rows_;
  uint32_t at_ = 0, count_ = 0, first_ = 0, padding_ = 0;
  mutable nb::object texts_[2];
  mutable std::unique_ptr<Encoding> full_;
};

// One input of a batch: one text or two that Python holds, or words.
struct BatchItem {
  nb::object text, pair;  // the texts
  std::string_view first, second;
  std::unique_ptr<Input> words;  // null: the texts
};

// Encodes all of them, on all threads. Call it with Python's lock, which is released meanwhile.
std::vector<LazyEncoding> encode_lazily(const PipelinePtr& pipeline, std::vector<BatchItem>& items, bool add_special_tokens);

}  // namespace enfold
