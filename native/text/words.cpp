#include "text/words.hpp"

#include "simd.hpp"
#include "text/words_isa.hpp"

namespace enfold {

WordScanner word_scanner(Scanner scan) {
  switch (simd()) {
    case Simd::Avx512: return words_avx512(scan);
    case Simd::Avx2: return words_avx2(scan);
    default: return nullptr;
  }
}

}  // namespace enfold
