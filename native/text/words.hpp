// Where the words of a text end, many at a time: the scanners of scanners.hpp over 64 bytes at once.
#pragma once

#include <cstddef>
#include <string_view>

#include "text/scanners.hpp"

namespace enfold {

// Writes where the words of `text` from `at` on end, at most `capacity` of them (at least 128), sets `count`, and returns
// where the last one of them ends. A word must begin at `at`. Sets `high` where there are characters above ASCII in them.
using WordScanner = size_t (*)(std::string_view text, size_t at, size_t* ends, size_t capacity, size_t& count, bool& high);

// The fastest way to the same words as `scan`, on the instructions that simd() names. Null where there is none but calling
// `scan` for each word.
WordScanner word_scanner(Scanner scan);

}  // namespace enfold
