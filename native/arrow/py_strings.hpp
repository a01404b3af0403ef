// Columns of strings that Python hands over: Arrow arrays and streams by their capsules, or lists.
#pragma once

#include <nanobind/nanobind.h>

#include <string_view>
#include <vector>

#include "arrow/strings.hpp"

namespace nb = nanobind;

namespace enfold {

// The UTF-8 of a Python str; valid as long as the object.
std::string_view utf8(nb::handle text);

// The strings of a column and what keeps them alive while they are used.
struct Column {
  ArrowStrings arrow;
  std::vector<nb::object> objects;
  std::vector<std::string_view> views;
};

// Throws nb::type_error for what is not a column of strings, std::invalid_argument for nulls in Arrow's.
void read_column(nb::handle column, Column& out);

}  // namespace enfold
