// Decoding, as Python calls it.
#pragma once

#include <nanobind/nanobind.h>

#include "tokenizer/tokenizer.hpp"

namespace enfold {

namespace nb = nanobind;

// The text of one row of ids: a sequence of ints, or any one-dimensional array of integers.
nb::object decode_ids(const PipelinePtr& pipeline, nb::handle ids, bool skip_special_tokens);
// The texts of many: a sequence of rows, an Arrow column of lists of integers, or a two-dimensional array.
nb::list decode_rows(const PipelinePtr& pipeline, nb::handle rows, bool skip_special_tokens);
// One step of a DecodeStream.
nb::object decode_step(const PipelinePtr& pipeline, nb::handle stream, nb::handle ids);

}  // namespace enfold
