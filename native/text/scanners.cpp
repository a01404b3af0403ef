#include "text/scanners.hpp"

#include <array>
#include <string>

namespace enfold {
namespace {

consteval std::array<uint8_t, 128> make_classes() {
  std::array<uint8_t, 128> made{};
  for (int c = 0; c < 128; ++c) {
    bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    bool space = c == ' ' || (c >= 9 && c <= 13);
    made[c] = letter ? kClassLetter : c >= '0' && c <= '9' ? kClassNumber : space ? kClassSpace : kClassOther;
  }
  return made;
}

// \s+(?!\S)|\s+ : a run of white space leaves its last character to the word behind it.
size_t scan_space(std::string_view text, size_t at, size_t first_end) {
  size_t last = at, end = first_end;
  while (end < text.size()) {
    size_t next = end;
    if (class_at(text, next) != kClassSpace) return last == at ? end : last;
    last = end;
    end = next;
  }
  return end;
}

char fold(char c) { return c >= 'A' && c <= 'Z' ? char(c + 32) : c; }

// The length of 's 't 'm 'd 're 've 'll at `at`; 0 when there is none. U+017F folds to s.
size_t contraction(std::string_view text, size_t at, bool any_case) {
  if (text[at] != '\'' || at + 1 >= text.size()) return 0;
  char a = any_case ? fold(text[at + 1]) : text[at + 1];
  if (a == 's' || a == 't' || a == 'm' || a == 'd') return 2;
  if (any_case && text.substr(at + 1, 2) == "\xC5\xBF") return 3;
  if (at + 2 >= text.size()) return 0;
  char b = any_case ? fold(text[at + 2]) : text[at + 2];
  return (a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l') ? 3 : 0;
}

// What the successors of cl100k have behind their rules for letters: numbers in groups, punctuation with the line breaks (and
// slashes) behind it, white space up to its last line break, white space but its last character.
template <int Digits, bool Slash>
size_t scan_rest(std::string_view text, size_t at, size_t second, uint8_t cls) {
  char c = text[at];
  if (cls == kClassNumber) {
    size_t end = second;
    for (int i = 1; i < Digits && end < text.size(); ++i) {
      size_t next = end;
      if (class_at(text, next) != kClassNumber) break;
      end = next;
    }
    return end;
  }
  size_t other = at;
  if (c == ' ' && second < text.size()) {
    size_t third = second;
    if (class_at(text, third) == kClassOther) other = third;
  } else if (cls == kClassOther) {
    other = second;
  }
  if (other > at) {
    size_t end = run_end(text, other, kClassOther);
    while (end < text.size() && (text[end] == '\r' || text[end] == '\n' || (Slash && text[end] == '/'))) ++end;
    return end;
  }
  // \s*[\r\n]+ : up to the last line break of the run of white space.
  size_t end = run_end(text, at, kClassSpace);
  for (size_t i = end; i > at; --i)
    if (text[i - 1] == '\n' || text[i - 1] == '\r') return i;
  return scan_space(text, at, second);
}

// (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,Digits}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
template <int Digits>
size_t scan_words(std::string_view text, size_t at) {
  if (size_t length = contraction(text, at, true)) return at + length;
  size_t second = at;
  uint8_t cls = class_at(text, second);
  if (cls == kClassLetter) return run_end(text, second, kClassLetter);
  char c = text[at];
  if (cls != kClassNumber && c != '\r' && c != '\n' && second < text.size()) {
    size_t third = second;
    if (class_at(text, third) == kClassLetter) return run_end(text, third, kClassLetter);
  }
  return scan_rest<Digits, false>(text, at, second, cls);
}

// Letters of the o200k family: capitals (and letters without case, and marks), then small ones (likewise).
bool capital(uint16_t flags) { return flags & (kUpper | kTitle | kModifier | kOtherLetter | kAnyMark); }
bool small(uint16_t flags) { return flags & (kLower | kModifier | kOtherLetter | kAnyMark); }
uint16_t flags_at(std::string_view text, size_t& at) { return char_flags(utf8_next(text, at)); }

// [\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+ from `at`; 0 where there is none. `capitals`: the end of the first part.
size_t capitals_small(std::string_view text, size_t at, size_t& capitals) {
  size_t both = 0;  // behind the last character that can stand in either part
  for (capitals = at; capitals < text.size();) {
    size_t next = capitals;
    uint16_t flags = flags_at(text, next);
    if (!capital(flags)) {
      if (!small(flags)) break;
      for (both = next; next < text.size() && small(flags_at(text, next)); both = next) {}
      return both;
    }
    capitals = next;
    if (small(flags)) both = next;
  }
  return both;
}

// X?[capitals]*[small]+C?|X?[capitals]+[small]*C?|… with X = [^\r\n\p{L}\p{N}] and C a contraction, where `Suffix` is set.
template <int Digits, bool Suffix>
size_t scan_cased(std::string_view text, size_t at) {
  size_t second = at;
  uint8_t cls = class_at(text, second);
  char c = text[at];
  bool takes = (cls == kClassSpace && c != '\r' && c != '\n') || cls == kClassOther;  // is an X
  size_t end = 0, after = 0, here = 0;
  if (takes) end = capitals_small(text, second, after);
  if (!end) {
    // The character itself may be a letter, or a mark.
    if (size_t found = capitals_small(text, at, here)) end = found;
    else if (takes && after > second) end = after;
    else if (here > at) end = here;
  }
  if (!end) return scan_rest<Digits, true>(text, at, second, cls);
  return Suffix && end < text.size() ? end + contraction(text, end, true) : end;
}

}  // namespace

constinit const std::array<uint8_t, 128> ascii_class = make_classes();

size_t scan_gpt2(std::string_view text, size_t at) {
  if (size_t length = contraction(text, at, false)) return at + length;
  size_t second = at;
  uint8_t cls = class_at(text, second);
  if (cls != kClassSpace) return run_end(text, second, cls);
  if (text[at] == ' ' && second < text.size()) {
    size_t third = second;
    uint8_t next = class_at(text, third);
    if (next != kClassSpace) return run_end(text, third, next);
  }
  return scan_space(text, at, second);
}

size_t scan_gpt2_digits(std::string_view text, size_t at) {
  size_t second = at;
  if (flags_at(text, second) & kNumeric) return second;
  // What GPT-2's pattern makes of the text up to the next digit.
  auto stop = [&](size_t from) {
    size_t next = from;
    return from >= text.size() || (flags_at(text, next) & kNumeric);
  };
  auto run = [&](size_t from, uint8_t wanted) {
    for (size_t next = from; !stop(from) && class_at(text, next) == wanted; next = from) from = next;
    return from;
  };
  if (size_t length = contraction(text, at, false)) return at + length;
  second = at;
  uint8_t cls = class_at(text, second);
  if (cls != kClassSpace) return run(second, cls);
  if (text[at] == ' ' && !stop(second)) {
    size_t third = second;
    uint8_t next = class_at(text, third);
    if (next != kClassSpace) return run(third, next);
  }
  size_t last = at, end = second;
  while (!stop(end)) {
    size_t next = end;
    if (class_at(text, next) != kClassSpace) return last == at ? end : last;
    last = end;
    end = next;
  }
  return end;
}

size_t scan_cl100k(std::string_view text, size_t at) { return scan_words<3>(text, at); }
size_t scan_qwen2(std::string_view text, size_t at) { return scan_words<1>(text, at); }
size_t scan_o200k(std::string_view text, size_t at) { return scan_cased<3, true>(text, at); }
size_t scan_tekken(std::string_view text, size_t at) { return scan_cased<1, false>(text, at); }

Scanner find_scanner(std::string_view pattern) {
  if (pattern == R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)") return scan_gpt2;
  if (pattern == R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)") return scan_cl100k;
  if (pattern == R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)") return scan_qwen2;
  static const std::string first = R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+)";
  static const std::string second = R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*)";
  static const std::string suffix = R"((?i:'s|'t|'re|'ve|'m|'ll|'d)?)";
  static const std::string rest = R"(| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
  if (pattern == first + suffix + "|" + second + suffix + R"(|\p{N}{1,3})" + rest) return scan_o200k;
  if (pattern == first + "|" + second + R"(|\p{N})" + rest) return scan_tekken;
  return nullptr;
}

}  // namespace enfold
