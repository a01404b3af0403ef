// Whether a tokenizer.json is one, before anything is made of it.
#pragma once

#include "text/json.hpp"

namespace enfold {

// Throws std::invalid_argument, naming the place, where the parts that are common to all tokenizers are missing something
// or are of a wrong kind.
void check_document(const Json& root);

}  // namespace enfold
