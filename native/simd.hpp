// Which vector instructions to use, decided when the process runs.
#pragma once

namespace enfold {

enum class Simd { Portable, Avx2, Avx512 };

// The widest instructions that this machine has; ENFOLD_SIMD=portable, avx2 or avx512 asks for narrower ones. Read once.
// Avx512 stands for F, BW, VL, DQ and VBMI together.
Simd simd();

}  // namespace enfold
