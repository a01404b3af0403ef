// The word scanners of each instruction set, for processors that have it; null where there is none for `scan`.
#pragma once

#include <cstring>

#include "text/words.hpp"

namespace enfold {

WordScanner words_avx512(Scanner scan);
WordScanner words_avx2(Scanner scan);

}  // namespace enfold
