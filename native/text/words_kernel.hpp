// The rules of the known patterns as algebra on bit masks, one bit a byte of a window of 64.
//
// A window begins at the start of a word, so that nothing needs to be carried from one to the next: all word starts in it
// that its bytes decide are taken, and the next window begins at the last of them. Decided here are ASCII and the most of
// what Chinese, Japanese and Korean are written in; whatever else is met goes to the scanner for single words, as do words
// that fill a window.
//
// Included by one source file per instruction set, inside its own namespace: so that each has functions of its own.

struct Masks {
  uint64_t letter, upper, digit, space, line, blank, quote, slash, high;
  uint64_t wide;  // the first bytes of punctuation of three bytes
};

constexpr uint64_t kOne = 1;

inline uint64_t below(size_t bit) { return bit >= 64 ? ~uint64_t(0) : (kOne << bit) - 1; }

// Decides characters of three bytes: ideographs, kana and Hangul, which are letters, and the punctuation of East Asia and of
// typographers. Their bytes are no longer `high`.
template <class Isa, bool Cases>
inline void widen(const typename Isa::Bytes& bytes, Masks& m) {
  auto is = [&](int byte) { return Isa::is(bytes, char(byte)); };
  auto within = [&](int first, int last) { return Isa::within(bytes, char(first), char(last - first + 1)); };
  uint64_t tail = within(0x80, 0xBF), whole = tail >> 1 & tail >> 2;  // by their first bytes, as everything below
  uint64_t e3 = is(0xE3);
  uint64_t letters = within(0xE5, 0xE9) | within(0xEB, 0xEC) | (is(0xE4) & ~(is(0xB7) >> 1)) | (is(0xEA) & within(0xB0, 0xBF) >> 1) |
                     (is(0xED) & within(0x80, 0x9D) >> 1);
  uint64_t others = is(0xE2) & is(0x80) >> 1 & (within(0x90, 0xA7) | within(0xB0, 0xBF)) >> 2;
  if (e3) {
    letters |= e3 & within(0x90, 0xBF) >> 1;
    letters |= e3 & is(0x81) >> 1 & ~(is(0x80) >> 2);
    letters |= e3 & is(0x82) >> 1 & (within(0x80, 0x96) | within(0xA1, 0xBF)) >> 2;
    letters |= e3 & is(0x83) >> 1 & ~(is(0xBB) >> 2);
    others |= e3 & is(0x80) >> 1 & (within(0x81, 0x83) | within(0x88, 0x9F)) >> 2;
  }
  others |= is(0xEF) & is(0xBC) >> 1 & (within(0x81, 0x8F) | within(0x9A, 0xA0)) >> 2;
  letters &= whole, others &= whole;
  if (Cases) letters &= ~(m.upper >> 3);  // what a capital behind them means depends on what comes after it
  letters |= letters << 1 | letters << 2;
  m.letter |= letters;
  m.high &= ~(letters | others | others << 1 | others << 2);
  m.wide = others;
}

// How many bytes the contraction at data[at] has ('s 't 'm 'd 're 've 'll), if any. `left`: bytes that may be read.
inline size_t contraction_length(const char* data, size_t left, bool any_case) {
  if (left < 2) return 0;
  char a = any_case ? char(data[1] | 0x20) : data[1];
  if (a == 's' || a == 't' || a == 'm' || a == 'd') return 2;
  if (left < 3) return 0;
  char b = any_case ? char(data[2] | 0x20) : data[2];
  return (a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l') ? 3 : 0;
}

// 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+, behind a split of single digits if `Digits`.
template <bool Digits>
struct Gpt2Rules {
  static constexpr bool kUpper = false, kLines = false;
  static uint64_t starts(const Masks& m, const char* data, size_t limit, bool final) {
    uint64_t in = below(limit), L = m.letter & in, N = m.digit & in, S = m.space & in, O = in & ~(L | N | S);
    uint64_t next_space = S >> 1 | uint64_t(final) << (limit - 1);
    if (Digits) next_space |= N >> 1;
    uint64_t run = (L & ~(L << 1)) | (O & ~(O << 1));
    if (!Digits) run |= N & ~(N << 1);
    uint64_t made = (run & ~(m.blank << 1)) | (S & (~(S << 1) | ~next_space));
    if (Digits) made |= N;
    uint64_t quotes = m.quote & (made | 1) & (L >> 1);
    while (quotes) [[unlikely]] {
      size_t at = size_t(__builtin_ctzll(quotes));
      quotes &= quotes - 1;
      if (size_t length = contraction_length(data + at, limit - at, false)) {
        made &= ~(kOne << (at + 1));
        if (at + length < 64) made |= kOne << (at + length);
      }
    }
    return made;
  }
};

// The family of cl100k: a word takes any one character before it, numbers come in groups of `Group`, line breaks behind
// punctuation belong to it. `Cases`: words also end where small letters meet capitals. `Suffix`: contractions end words
// instead of being words. `Slash`: slashes behind punctuation and line breaks belong to them.
template <int Group, bool Cases, bool Contractions, bool Suffix, bool Slash>
struct Cl100kRules {
  static constexpr bool kUpper = Cases, kLines = true;
  static uint64_t starts(const Masks& m, const char* data, size_t limit, bool final) {
    uint64_t in = below(limit), L = m.letter & in, N = m.digit & in, S = m.space & in, NL = m.line & in, O = in & ~(L | N | S);
    // Line breaks that the punctuation before them takes.
    if (uint64_t seed = NL & (O << 1)) {
      uint64_t kind = Slash ? NL | (m.slash & in) : NL;
      uint64_t taken = (kind & ~(kind + seed)) | seed;
      S &= ~taken, NL &= ~taken, O &= ~taken;
    }
    uint64_t T = S & ~NL;  // white space within a line
    uint64_t next_space = S >> 1 | uint64_t(final) << (limit - 1);
    uint64_t others = O & ~(O << 1) & ~(m.blank << 1);
    uint64_t before = ((others & (L >> 1)) | T) << 1 | (others & m.wide & L >> 3) << 3;  // behind a character that a word may take
    uint64_t made = others | (L & ~(L << 1) & ~before) | (S & ~(S << 1)) | (T & ~next_space);
    if (Cases) made |= m.upper & (L & ~m.upper) << 1;
    if (Group == 1) {
      made |= N;
    } else {
      made |= N & ~(N << 1);
      uint64_t four = N & N >> 1 & N >> 2 & N >> 3;
      if (four) [[unlikely]]
        for (uint64_t next = (N & ~(N << 1) & four) << 3; next; next = (next & four) << 3) made |= next;
    }
    // White space behind the last line break of its run; the run's end decides whether it was the last.
    if (uint64_t after = T & NL << 1) {
      uint64_t sum = T + after, ends = sum & ~T;
      bool open = limit == 64 ? sum < T : ends >> limit & 1;
      if (open && !final) after &= ~(kOne << (63 - __builtin_clzll(after)));
      if (ends & NL) [[unlikely]]
        for (uint64_t left = after; left; left &= left - 1) {
          size_t at = size_t(__builtin_ctzll(left));
          uint64_t rest = ~(T >> at);
          size_t end = rest ? at + size_t(__builtin_ctzll(rest)) : 64;
          if (end < 64 && NL >> end & 1) after &= ~(kOne << at);
        }
      made |= after;
    }
    if (Contractions) {
      uint64_t quotes = m.quote & others & (L >> 1);
      if (Suffix) quotes &= L << 1;
      size_t done = 64;
      while (quotes) [[unlikely]] {
        size_t at = size_t(__builtin_ctzll(quotes));
        quotes &= quotes - 1;
        if (Suffix && at == done) continue;  // the character before it is a contraction's own
        size_t length = contraction_length(data + at, limit - at, true);
        if (!length) continue;
        made &= ~(below(at + length) & ~below(Suffix ? at : at + 1));
        if (at + length < 64) made |= kOne << (at + length);
        done = at + length;
      }
    }
    return made;
  }
};

template <class Isa, class Rules, Scanner Scan>
size_t words(std::string_view text, size_t at, size_t* ends, size_t capacity, size_t& count, bool& high) {
  const char* data = text.data();
  size_t size = text.size(), made = 0;
  while (at < size && made + 64 <= capacity) {
    size_t left = size - at;
    const char* window = data + at;
    typename Isa::Bytes bytes = left >= 64 ? Isa::load(window) : Isa::load_some(window, left);
    Masks m = Isa::template classify<Rules::kUpper, Rules::kLines>(bytes);
    size_t limit = left < 64 ? left : 64;
    if (m.high) {
      high = true;
      widen<Isa, Rules::kUpper>(bytes, m);
    }
    if (m.high) limit = size_t(__builtin_ctzll(m.high)) < limit ? size_t(__builtin_ctzll(m.high)) : limit;
    bool final = limit == left;
    if (final || limit >= 4) [[likely]] {
      // The starts in the last two bytes depend on what comes next.
      uint64_t starts = Rules::starts(m, window, limit, final) & below(final ? limit : limit - 2) & ~kOne;
      size_t found = size_t(__builtin_popcountll(starts));
      if (starts || final) {
        if (starts) {
          at += 63 - size_t(__builtin_clzll(starts));
          size_t* to = ends + made;
          size_t base = size_t(window - data);
          // Four at a time: what is written too much is overwritten.
          for (size_t i = 0; i < found; i += 4)
            for (size_t k = 0; k < 4; ++k) to[i + k] = base + size_t(__builtin_ctzll(starts | uint64_t(starts == 0) << 63)), starts &= starts - 1;
          made += found;
        }
        if (final) ends[made++] = at = size;
        continue;
      }
    }
    // One by one until what stood in the way is behind.
    high = true;
    size_t past = at + limit;
    do ends[made++] = at = Scan(text, at);
    while (at <= past && at < size && made < capacity);
  }
  count = made;
  return at;
}

template <class Isa>
WordScanner find_words(Scanner scan) {
  if (scan == scan_gpt2) return words<Isa, Gpt2Rules<false>, scan_gpt2>;
  if (scan == scan_gpt2_digits) return words<Isa, Gpt2Rules<true>, scan_gpt2_digits>;
  if (scan == scan_cl100k) return words<Isa, Cl100kRules<3, false, true, false, false>, scan_cl100k>;
  if (scan == scan_qwen2) return words<Isa, Cl100kRules<1, false, true, false, false>, scan_qwen2>;
  if (scan == scan_o200k) return words<Isa, Cl100kRules<3, true, true, true, true>, scan_o200k>;
  if (scan == scan_tekken) return words<Isa, Cl100kRules<1, true, false, false, true>, scan_tekken>;
  return nullptr;
}
