#include "text/ascii_masks.hpp"

#include <array>

#include "simd.hpp"

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>
#endif

namespace enfold {
namespace {

enum : uint8_t { Word = 1, Space = 2, Punct = 4 };

consteval std::array<uint8_t, 256> make_classes() {
  std::array<uint8_t, 256> made{};
  for (int c = 0; c < 128; ++c) {
    bool word = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    bool space = c == ' ' || c == '\t' || c == '\n' || c == '\r';
    made[c] = word ? Word : space ? Space : c > 0x20 && c < 0x7F ? Punct : 0;
  }
  return made;
}
constexpr std::array<uint8_t, 256> kClasses = make_classes();

void portable(const char* in, size_t blocks, bool lower, char* copy, AsciiMasks* out) {
  for (; blocks; --blocks, in += 64, copy += 64, ++out) {
    uint64_t word = 0, space = 0, punct = 0;
    for (int i = 0; i < 64; ++i) {
      auto c = (unsigned char)in[i];
      uint64_t cls = kClasses[c];
      word |= (cls & 1) << i;
      space |= (cls >> 1 & 1) << i;
      punct |= (cls >> 2) << i;
      copy[i] = char(lower && (unsigned char)(c - 'A') < 26 ? c + 32 : c);
    }
    *out = {word, space, punct};
  }
}

#if defined(__x86_64__) && defined(__GNUC__)

__attribute__((target("avx2"))) inline __m256i below(__m256i x, char from, char count) {
  __m256i shifted = _mm256_sub_epi8(x, _mm256_set1_epi8(from));
  return _mm256_cmpeq_epi8(_mm256_min_epu8(shifted, _mm256_set1_epi8(char(count - 1))), shifted);
}

__attribute__((target("avx2"))) void avx2(const char* in, size_t blocks, bool lower, char* copy, AsciiMasks* out) {
  const __m256i bit = _mm256_set1_epi8(0x20), step = lower ? bit : _mm256_setzero_si256();
  for (; blocks; --blocks, in += 64, copy += 64, ++out) {
    uint64_t word = 0, space = 0, punct = 0;
    for (int half = 0; half < 64; half += 32) {
      __m256i c = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(in + half));
      __m256i letter = below(_mm256_or_si256(c, bit), 'a', 26);
      __m256i alnum = _mm256_or_si256(letter, below(c, '0', 10));
      __m256i gap = _mm256_or_si256(_mm256_cmpeq_epi8(c, bit), _mm256_or_si256(below(c, '\t', 2), _mm256_cmpeq_epi8(c, _mm256_set1_epi8('\r'))));
      __m256i visible = _mm256_andnot_si256(alnum, below(c, 0x21, 0x5E));
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(copy + half), _mm256_add_epi8(c, _mm256_and_si256(below(c, 'A', 26), step)));
      word |= uint64_t(uint32_t(_mm256_movemask_epi8(alnum))) << half;
      space |= uint64_t(uint32_t(_mm256_movemask_epi8(gap))) << half;
      punct |= uint64_t(uint32_t(_mm256_movemask_epi8(visible))) << half;
    }
    *out = {word, space, punct};
  }
}

__attribute__((target("avx512f,avx512bw"))) inline uint64_t below512(__m512i x, char from, char count) {
  return _mm512_cmplt_epu8_mask(_mm512_sub_epi8(x, _mm512_set1_epi8(from)), _mm512_set1_epi8(count));
}

__attribute__((target("avx512f,avx512bw"))) void avx512(const char* in, size_t blocks, bool lower, char* copy, AsciiMasks* out) {
  const __m512i bit = _mm512_set1_epi8(0x20);
  for (; blocks; --blocks, in += 64, copy += 64, ++out) {
    __m512i c = _mm512_loadu_si512(in);
    uint64_t word = below512(_mm512_or_si512(c, bit), 'a', 26) | below512(c, '0', 10);
    uint64_t space = _mm512_cmpeq_epi8_mask(c, bit) | below512(c, '\t', 2) | _mm512_cmpeq_epi8_mask(c, _mm512_set1_epi8('\r'));
    uint64_t punct = below512(c, 0x21, 0x5E) & ~word;
    _mm512_storeu_si512(copy, _mm512_mask_add_epi8(c, lower ? below512(c, 'A', 26) : 0, c, bit));
    *out = {word, space, punct};
  }
}

#endif

}  // namespace

void ascii_masks(const char* in, size_t blocks, bool lower, char* copy, AsciiMasks* out) {
#if defined(__x86_64__) && defined(__GNUC__)
  switch (simd()) {
    case Simd::Avx512: return avx512(in, blocks, lower, copy, out);
    case Simd::Avx2: return avx2(in, blocks, lower, copy, out);
    default: break;
  }
#endif
  portable(in, blocks, lower, copy, out);
}

}  // namespace enfold
