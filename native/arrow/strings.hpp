// Reading Arrow string columns without copying.
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "arrow/abi.hpp"

namespace enfold {

// The strings of Arrow arrays, and what keeps their bytes alive.
class ArrowStrings {
 public:
  // Takes the arrays over. Throws std::invalid_argument for what is not a column of strings, and for nulls.
  void add(const ArrowSchema& schema, ArrowArray&& array);
  // Reads a stream to its end (it stays the caller's to release).
  void add(ArrowArrayStream& stream);
  const std::vector<std::string_view>& views() const { return views_; }

 private:
  std::vector<std::shared_ptr<ArrowArray>> arrays_;
  std::vector<std::string_view> views_;
};

// A list<int32> array over buffers that `owner` keeps alive: rows [begin, begin + length) of `offsets`.
void export_lists(const int32_t* offsets, const int32_t* values, int64_t begin, int64_t length, int64_t total_rows,
                  std::shared_ptr<const void> owner, ArrowSchema* schema, ArrowArray* array);
// A fixed_size_list<int32>[width] array of `rows` rows, likewise.
void export_fixed_lists(const int32_t* values, int64_t width, int64_t rows, std::shared_ptr<const void> owner, ArrowSchema* schema,
                        ArrowArray* array);

}  // namespace enfold
