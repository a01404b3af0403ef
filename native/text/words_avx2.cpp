// The word scanners on AVX2.
#include "text/words_isa.hpp"

#if defined(__x86_64__)
#include <immintrin.h>

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,bmi,bmi2,lzcnt,popcnt"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,bmi,bmi2,lzcnt,popcnt")
#endif

namespace enfold {
namespace {

#include "text/words_kernel.hpp"

struct Isa {
  struct Bytes {
    __m256i low, high;
  };
  static Bytes load(const char* at) {
    return {_mm256_loadu_si256(reinterpret_cast<const __m256i*>(at)), _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at + 32))};
  }
  static Bytes load_some(const char* at, size_t count) {
    alignas(32) char padded[64] = {};
    std::memcpy(padded, at, count);
    return load(padded);
  }
  static uint64_t both(__m256i a, __m256i b) { return uint64_t(uint32_t(_mm256_movemask_epi8(a))) | uint64_t(uint32_t(_mm256_movemask_epi8(b))) << 32; }
  static uint64_t is(const Bytes& bytes, char c) {
    __m256i wanted = _mm256_set1_epi8(c);
    return both(_mm256_cmpeq_epi8(bytes.low, wanted), _mm256_cmpeq_epi8(bytes.high, wanted));
  }
  // Unsigned v - first < count: the smaller of the difference and count - 1 is the difference.
  static uint64_t within(const Bytes& bytes, char first, char count) {
    __m256i from = _mm256_set1_epi8(first), most = _mm256_set1_epi8(char(count - 1));
    __m256i a = _mm256_sub_epi8(bytes.low, from), b = _mm256_sub_epi8(bytes.high, from);
    return both(_mm256_cmpeq_epi8(_mm256_min_epu8(a, most), a), _mm256_cmpeq_epi8(_mm256_min_epu8(b, most), b));
  }
  template <bool Upper, bool Lines>
  static Masks classify(const Bytes& bytes) {
    __m256i small = _mm256_set1_epi8(0x20);
    Masks m{};
    m.letter = within({_mm256_or_si256(bytes.low, small), _mm256_or_si256(bytes.high, small)}, 'a', 26);
    if (Upper) m.upper = within(bytes, 'A', 26);
    m.digit = within(bytes, '0', 10);
    m.blank = is(bytes, ' ');
    m.space = m.blank | within(bytes, 9, 5);
    if (Lines) m.line = is(bytes, '\n') | is(bytes, '\r'), m.slash = is(bytes, '/');
    m.quote = is(bytes, '\'');
    m.high = both(bytes.low, bytes.high);
    return m;
  }
};

}  // namespace

WordScanner words_avx2(Scanner scan) { return find_words<Isa>(scan); }

}  // namespace enfold

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#else
namespace enfold {
WordScanner words_avx2(Scanner) { return nullptr; }
}  // namespace enfold
#endif
