// The word scanners on AVX-512.
#include "text/words_isa.hpp"

#if defined(__x86_64__)
#include <immintrin.h>

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512vl,bmi,bmi2,lzcnt,popcnt"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512vl,bmi,bmi2,lzcnt,popcnt")
#endif

namespace enfold {
namespace {

#include "text/words_kernel.hpp"

struct Isa {
  using Bytes = __m512i;
  static Bytes load(const char* at) { return _mm512_loadu_si512(at); }
  static Bytes load_some(const char* at, size_t count) { return _mm512_maskz_loadu_epi8((kOne << count) - 1, at); }
  static uint64_t is(const Bytes& bytes, char c) { return uint64_t(_mm512_cmpeq_epi8_mask(bytes, _mm512_set1_epi8(c))); }
  static uint64_t within(const Bytes& bytes, char first, char count) {
    return uint64_t(_mm512_cmplt_epu8_mask(_mm512_sub_epi8(bytes, _mm512_set1_epi8(first)), _mm512_set1_epi8(count)));
  }
  template <bool Upper, bool Lines>
  static Masks classify(const Bytes& bytes) {
    Masks m{};
    m.letter = within(_mm512_or_si512(bytes, _mm512_set1_epi8(0x20)), 'a', 26);
    if (Upper) m.upper = within(bytes, 'A', 26);
    m.digit = within(bytes, '0', 10);
    m.blank = is(bytes, ' ');
    m.space = m.blank | within(bytes, 9, 5);
    if (Lines) m.line = is(bytes, '\n') | is(bytes, '\r'), m.slash = is(bytes, '/');
    m.quote = is(bytes, '\'');
    m.high = uint64_t(_mm512_movepi8_mask(bytes));
    return m;
  }
};

}  // namespace

WordScanner words_avx512(Scanner scan) { return find_words<Isa>(scan); }

}  // namespace enfold

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#else
namespace enfold {
WordScanner words_avx512(Scanner) { return nullptr; }
}  // namespace enfold
#endif
