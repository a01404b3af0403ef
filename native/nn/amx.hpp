// Whether this process may use AMX.
#pragma once

namespace enfold::nn {

enum class TileNumbers { Bfloat16, Int8 };

// Whether the processor has tiles of such numbers, AVX-512 beside them (with its own bfloat16), and the system lets this process
// use them. ENFOLD_SIMD asks for narrower instructions. Asked once.
bool has_tiles(TileNumbers numbers);

}  // namespace enfold::nn
