// Memory for weights that are read from front to back, again and again.
#pragma once

#include <cstddef>
#include <memory>

namespace enfold::nn {

// Bytes on a cache line's boundary that nothing has set, lent from large pages that weights share: on pages of 4 KB a processor
// reads half as fast. What is lent one after another lies one behind another, so that fetching ahead of a weight's end fetches
// the next one. A chunk is given back when all that was lent from it is gone.
std::shared_ptr<std::byte> lent_bytes(size_t bytes);

}  // namespace enfold::nn
