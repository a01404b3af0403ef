// A column of rows inside a flat batch.
#pragma once

#include <nanobind/nanobind.h>

#include <algorithm>
#include <memory>

#include "tokenizer/flat/flat.hpp"

namespace nb = nanobind;

namespace enfold {

struct TokenColumn {
  std::shared_ptr<const FlatBatch> batch;
  const int32_t* data = nullptr;  // the field's values, as long as the batch lives
  size_t begin = 0, rows = 0;
  size_t fixed = 0;  // the length of every row where the type of the column says so

  const int32_t* row(size_t index) const { return data + batch->offsets[begin + index]; }
  size_t length(size_t index) const { return size_t(batch->offsets[begin + index + 1] - batch->offsets[begin + index]); }
  // Whether all rows have one length.
  bool even() const {
    for (size_t i = 1; i < rows; ++i)
      if (length(i) != length(0)) return false;
    return true;
  }
  size_t width() const { return fixed ? fixed : rows ? length(0) : 0; }
  size_t total() const { return size_t(batch->offsets[begin + rows] - batch->offsets[begin]); }

  // Rows start, start + step, …: a view for step 1, a copy otherwise.
  TokenColumn slice(int64_t start, int64_t step, size_t count) const {
    if (step == 1) return {batch, data, begin + size_t(start), count, fixed};
    auto made = std::make_shared<FlatBatch>();
    for (size_t i = 0; i < count; ++i) made->offsets.push_back(made->offsets.back() + int32_t(length(size_t(start + int64_t(i) * step))));
    made->ids = std::make_unique<int32_t[]>(size_t(made->offsets.back()) + 1);
    for (size_t i = 0; i < count; ++i) {
      size_t from = size_t(start + int64_t(i) * step);
      std::copy_n(row(from), length(from), made->ids.get() + made->offsets[i]);
    }
    const int32_t* values = made->ids.get();
    return {made, values, 0, count, fixed};
  }
};

}  // namespace enfold
