#include "tokenizer/lazy_encoding.hpp"

#include <algorithm>

#include "tokenizer/threads.hpp"

namespace enfold {
namespace {

void pad(Encoding& encoding, size_t length, const Padding& padding) {
  encoding.pad(length, padding.id, padding.type_id, std::make_shared<const std::string>(padding.token), padding.left);
}

// The encoding of one sequence out of its ids. `ascii`: the text is known to be.
Encoding with_places(const Pipeline& pipeline, std::string_view text, bool ascii, int32_t type_id, std::vector<int32_t> ids) {
  Encoding made;
  made.model = pipeline.model;
  made.ids = std::move(ids);
  made.offsets.resize(made.size());
  made.words.resize(made.size());
  Names names;
  const Aligner* known = aligner(pipeline);
  if (!known || !align(pipeline, *known, text, ascii, made.ids.data(), made.size(), {made.offsets.data(), made.words.data(), &names})) {
    made = Encoding();
    pipeline.encode(text, type_id, -1, made);
    return made;
  }
  for (auto& [at, name] : names) made.names.emplace_back(at, std::make_shared<const std::string>(std::move(name)));
  made.type_ids.assign(made.size(), type_id);
  made.special.assign(made.size(), 0);
  made.attention.assign(made.size(), 1);
  return made;
}

}  // namespace

template <class Fn>
void LazyEncoding::each_run(Fn fn) const {
  const Pipeline& pipeline = *rows_->pipeline;
  const Layout& around = layout(pipeline, texts_[1].is_valid(), rows_->add_special_tokens);
  size_t at = 0, specials = 0;
  if (padding_ && pipeline.padding->left) fn(Padded, at, size_t(padding_), pipeline.padding->type_id), at += padding_;
  for (const TemplatePiece& piece : around.pieces) specials += piece.ids.size();
  for (const TemplatePiece& piece : around.pieces) {
    size_t count = piece.sequence < 0 ? piece.ids.size() : piece.sequence == 0 ? first_ : count_ - specials - first_;
    fn(piece.sequence < 0 ? Special : piece.sequence == 0 ? First : Second, at, count, piece.type_id);
    at += count;
  }
  if (padding_ && !pipeline.padding->left) fn(Padded, at, size_t(padding_), pipeline.padding->type_id);
}

template <class Value>
std::vector<int32_t> LazyEncoding::column(Value value) const {
  std::vector<int32_t> made(size());
  each_run([&](Part part, size_t begin, size_t count, int32_t type_id) { std::fill_n(made.begin() + begin, count, value(part, type_id)); });
  return made;
}

std::vector<int32_t> LazyEncoding::ids() const {
  if (full_) return full_->ids;
  std::vector<int32_t> made(size(), padding_ ? rows_->pipeline->padding->id : 0);
  bool left = padding_ && rows_->pipeline->padding->left;
  std::copy_n(rows_->ids.data() + at_, count_, made.data() + (left ? padding_ : 0));
  return made;
}

std::vector<int32_t> LazyEncoding::type_ids() const {
  if (full_) return full_->type_ids;
  return column([](Part, int32_t type_id) { return type_id; });
}

std::vector<int32_t> LazyEncoding::special() const {
  if (full_) return {full_->special.begin(), full_->special.end()};
  return column([](Part part, int32_t) { return part == Special || part == Padded; });
}

std::vector<int32_t> LazyEncoding::attention() const {
  if (full_) return {full_->attention.begin(), full_->attention.end()};
  return column([](Part part, int32_t) { return part != Padded; });
}

std::vector<int32_t> LazyEncoding::sequence_ids() const {
  if (!full_) return column([](Part part, int32_t) { return part == First ? 0 : part == Second ? 1 : -1; });
  std::vector<int32_t> made(size(), -1);
  for (size_t sequence = 0; sequence < full_->n_sequences(); ++sequence) {
    auto [begin, end] = full_->range(sequence);
    for (size_t i = begin; i < end && i < made.size(); ++i) made[i] = int32_t(sequence);
  }
  return made;
}

bool LazyEncoding::place(Span* spans, int32_t* words) const {
  const Pipeline& pipeline = *rows_->pipeline;
  const Aligner* known = aligner(pipeline);
  if (!known || layout(pipeline, texts_[1].is_valid(), rows_->add_special_tokens).trims) return false;
  bool told = true;
  const int32_t* ids = rows_->ids.data() + at_;
  size_t shift = padding_ && pipeline.padding->left ? padding_ : 0;
  each_run([&](Part part, size_t begin, size_t count, int32_t) {
    if (!told) return;
    if (part == First || part == Second) {
      bool ascii;
      std::string_view given = text(part == Second, ascii);
      told = align(pipeline, *known, given, ascii, ids + begin - shift, count, {spans + begin, words ? words + begin : nullptr});
    } else {
      std::fill_n(spans + begin, count, Span{});
      if (words) std::fill_n(words + begin, count, Encoding::kNoWord);
    }
  });
  return told;
}

std::vector<Span> LazyEncoding::offsets() const {
  if (full_) return full_->offsets;
  std::vector<Span> made(size());
  if (!place(made.data(), nullptr)) return full().offsets;
  return made;
}

std::vector<int32_t> LazyEncoding::words() const {
  if (full_) return full_->words;
  std::vector<Span> spans(size());
  std::vector<int32_t> made(size());
  if (!place(spans.data(), made.data())) return full().words;
  return made;
}

std::string_view LazyEncoding::text(int index, bool& ascii) const {
  PyObject* given = texts_[index].ptr();
  Py_ssize_t size;
  const char* data = PyUnicode_AsUTF8AndSize(given, &size);
  if (!data) nb::raise_python_error();
  ascii = size == PyUnicode_GetLength(given);
  return {data, size_t(size)};
}

Encoding LazyEncoding::sequence(int index) const {
  bool ascii;
  std::string_view given = text(index, ascii);
  Encoding made;
  each_run([&](Part part, size_t begin, size_t count, int32_t) {
    if (part != (index ? Second : First)) return;
    const int32_t* ids = rows_->ids.data() + at_ + begin - (padding_ && rows_->pipeline->padding->left ? padding_ : 0);
    made = with_places(*rows_->pipeline, given, ascii, index, {ids, ids + count});
  });
  return made;
}

const Encoding& LazyEncoding::full() const {
  if (full_) return *full_;
  const Pipeline& pipeline = *rows_->pipeline;
  size_t length = size();
  Encoding first = sequence(0);
  std::optional<Encoding> second;
  if (texts_[1].is_valid()) second = sequence(1);
  auto made = std::make_unique<Encoding>(pipeline.finish(std::move(first), std::move(second), rows_->add_special_tokens));
  if (made->size() < length) pad(*made, length, *pipeline.padding);
  full_ = std::move(made);
  rows_.reset();
  texts_[0].reset();
  texts_[1].reset();
  return *full_;
}

void LazyEncoding::pad_to(size_t length, const Padding& padding) {
  if (full_) pad(*full_, length, padding);
  else if (size() < length) padding_ = uint32_t(length) - count_;
}

std::vector<LazyEncoding> encode_lazily(const PipelinePtr& pipeline, std::vector<BatchItem>& items, bool add_special_tokens) {
  constexpr size_t kChunkBytes = 128 << 10;  // as many bytes of text are worth a hand-over, and balance
  struct Row {
    size_t at, count, first;
    std::unique_ptr<Encoding> full;
  };
  struct Chunk {
    size_t begin, end;
    std::shared_ptr<EncodedRows> rows;
    std::vector<Row> made;
  };
  std::vector<Chunk> chunks;
  for (size_t i = 0, begin = 0, bytes = 0; i < items.size(); ++i) {
    bytes += items[i].first.size() + items[i].second.size() + (items[i].words ? 1024 : 16);
    if (bytes < kChunkBytes && i + 1 < items.size()) continue;
    chunks.push_back({begin, i + 1, {}, {}});
    begin = i + 1;
    bytes = 0;
  }
  auto work = [&](size_t index) {
    Chunk& chunk = chunks[index];
    chunk.rows = std::make_shared<EncodedRows>();
    chunk.rows->pipeline = pipeline;
    chunk.rows->add_special_tokens = add_special_tokens;
    std::vector<int32_t>& ids = chunk.rows->ids;
    const FlatEncoder& encoder = flat_encoder(*pipeline);
    std::unique_ptr<Scratch> scratch = pipeline->scratch->take();
    for (size_t i = chunk.begin; i < chunk.end; ++i) {
      const BatchItem& item = items[i];
      bool pair = item.pair.is_valid();
      size_t before = ids.size(), first = 0, second = 0, specials = 0;
      const Layout& around = layout(*pipeline, pair, add_special_tokens);
      if (item.words || !around.simple || !pipeline->model->deterministic() || pipeline->custom) {
        Input input;
        if (!item.words) input.first = {item.first}, input.second = {item.second}, input.has_second = pair;
        chunk.made.push_back({0, 0, 0, std::make_unique<Encoding>(encode(*pipeline, item.words ? *item.words : input, add_special_tokens))});
        continue;
      }
      for (const TemplatePiece& piece : around.pieces) {
        size_t from = ids.size();
        if (piece.sequence < 0) ids.insert(ids.end(), piece.ids.begin(), piece.ids.end()), specials += piece.ids.size();
        else encoder.encode(piece.sequence ? item.second : item.first, ids, SIZE_MAX, *scratch), (piece.sequence ? second : first) = ids.size() - from;
      }
      size_t count = ids.size() - before;
      Row row{before, count, first, nullptr};
      if (const auto& limit = pipeline->truncation; limit && count > limit->max_length && specials <= limit->max_length) {
        // Too long: all fields are made, for what is cut off keeps them.
        std::optional<Encoding> parts[2];
        size_t at = before;
        for (const TemplatePiece& piece : around.pieces) {
          size_t length = piece.sequence < 0 ? piece.ids.size() : piece.sequence == 0 ? first : second;
          if (piece.sequence >= 0)
            parts[piece.sequence] = with_places(*pipeline, piece.sequence ? item.second : item.first, false, piece.sequence, {ids.begin() + at, ids.begin() + at + length});
          at += length;
        }
        ids.resize(before);
        row.full = std::make_unique<Encoding>(pipeline->finish(std::move(*parts[0]), std::move(parts[1]), add_special_tokens));
      }
      chunk.made.push_back(std::move(row));
    }
    pipeline->scratch->give(std::move(scratch));
  };
  {
    nb::gil_scoped_release release;
    parallel(chunks.size(), thread_count(), work);
  }
  std::vector<LazyEncoding> made;
  made.reserve(items.size());
  for (Chunk& chunk : chunks) {
    // What is kept of a batch keeps its neighbours' ids.
    for (size_t i = 0; i < chunk.made.size(); ++i) {
      Row& row = chunk.made[i];
      BatchItem& item = items[chunk.begin + i];
      if (row.full) made.emplace_back(std::move(*row.full));
      else made.emplace_back(chunk.rows, row.at, row.count, row.first, std::move(item.text), std::move(item.pair));
    }
  }
  if (pipeline->padding) {
    size_t longest = 0;
    for (const LazyEncoding& encoding : made) longest = std::max(longest, encoding.size());
    size_t length = padded_length(longest, *pipeline->padding);
    for (LazyEncoding& encoding : made) encoding.pad_to(length, *pipeline->padding);
  }
  return made;
}

}  // namespace enfold
