// Reading Arrow columns of lists of integers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "arrow/abi.hpp"

namespace enfold {

// Rows of ids, one after the other.
struct IdRows {
  std::vector<uint32_t> ids;
  std::vector<size_t> ends;  // of each row
  void end_row() { ends.push_back(ids.size()); }
};

// Appends `value` to rows as an id. Throws std::overflow_error for what is none.
void add_id(int64_t value, IdRows& rows);

// Appends the rows of an array of list, large_list or fixed_size_list of integers. Throws std::invalid_argument for
// columns of another kind and for nulls, std::overflow_error for values that are no ids.
void add_lists(const ArrowSchema& schema, const ArrowArray& array, IdRows& rows);

}  // namespace enfold
