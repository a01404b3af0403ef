#include "arrow/lists.hpp"

#include <cstdlib>
#include <stdexcept>
#include <string>
#include <string_view>

namespace enfold {
namespace {

bool any_null(const ArrowArray& array, int64_t begin, int64_t end) {
  const auto* valid = static_cast<const uint8_t*>(array.n_buffers > 0 ? array.buffers[0] : nullptr);
  if (!valid || array.null_count == 0) return false;
  for (int64_t i = begin; i < end; ++i)
    if (!(valid[i >> 3] >> (i & 7) & 1)) return true;
  return false;
}

template <class Value>
void add_values(const ArrowArray& array, int64_t begin, int64_t end, IdRows& rows) {
  const auto* values = static_cast<const Value*>(array.buffers[1]);
  for (int64_t i = begin; i < end; ++i) {
    if constexpr (sizeof(Value) == 8 && Value(-1) > Value(0)) {
      if (values[i] > UINT32_MAX) throw std::overflow_error("number too large to fit in target type");
    }
    add_id(int64_t(values[i]), rows);
  }
}

void add_range(std::string_view format, const ArrowArray& array, int64_t begin, int64_t end, IdRows& rows) {
  begin += array.offset;
  end += array.offset;
  if (any_null(array, begin, end)) throw std::invalid_argument("a row of ids holds a null");
  if (format == "i") add_values<int32_t>(array, begin, end, rows);
  else if (format == "l") add_values<int64_t>(array, begin, end, rows);
  else if (format == "I") add_values<uint32_t>(array, begin, end, rows);
  else if (format == "L") add_values<uint64_t>(array, begin, end, rows);
  else if (format == "s") add_values<int16_t>(array, begin, end, rows);
  else if (format == "S") add_values<uint16_t>(array, begin, end, rows);
  else if (format == "c") add_values<int8_t>(array, begin, end, rows);
  else if (format == "C") add_values<uint8_t>(array, begin, end, rows);
  else throw std::invalid_argument("expected lists of integers, got lists of Arrow format \"" + std::string(format) + "\"");
}

}  // namespace

void add_id(int64_t value, IdRows& rows) {
  if (value < 0) throw std::overflow_error("number too small to fit in target type");
  if (value > int64_t(UINT32_MAX)) throw std::overflow_error("number too large to fit in target type");
  rows.ids.push_back(uint32_t(value));
}

void add_lists(const ArrowSchema& schema, const ArrowArray& array, IdRows& rows) {
  std::string_view format = schema.format;
  int64_t width = format.starts_with("+w:") ? std::atoll(schema.format + 3) : -1;
  if ((format != "+l" && format != "+L" && width < 0) || schema.n_children != 1 || array.n_children != 1)
    throw std::invalid_argument("expected an Arrow column of lists of integers, got format \"" + std::string(format) + "\"");
  if (any_null(array, array.offset, array.offset + array.length)) throw std::invalid_argument("a row of the column is null");
  for (int64_t row = array.offset; row < array.offset + array.length; ++row) {
    int64_t begin = width * row, end = begin + width;
    if (format == "+l") begin = static_cast<const int32_t*>(array.buffers[1])[row], end = static_cast<const int32_t*>(array.buffers[1])[row + 1];
    if (format == "+L") begin = static_cast<const int64_t*>(array.buffers[1])[row], end = static_cast<const int64_t*>(array.buffers[1])[row + 1];
    add_range(schema.children[0]->format, *array.children[0], begin, end, rows);
    rows.end_row();
  }
}

}  // namespace enfold
