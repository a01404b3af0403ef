// The classes of ASCII characters as bits, 64 bytes at a time: where words, gaps and punctuation are.
#pragma once

#include <cstddef>
#include <cstdint>

namespace enfold {

// One bit a byte. Bytes that are none of the three (control characters, all that is not ASCII) have no bit in any.
struct AsciiMasks {
  uint64_t word;   // a-z A-Z 0-9
  uint64_t space;  // blank, tab, line feed, carriage return
  uint64_t punct;  // the other visible characters
};

// Reads `blocks` times 64 bytes and writes their masks; `copy` receives the bytes, with `lower` A-Z as a-z.
// `in` may be `copy`.
void ascii_masks(const char* in, size_t blocks, bool lower, char* copy, AsciiMasks* out);

}  // namespace enfold
