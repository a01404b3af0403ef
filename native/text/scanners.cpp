#include "text/scanners.hpp"

#include <array>

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

// (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,Digits}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
template <int Digits>
size_t scan_cl100k(std::string_view text, size_t at) {
  if (size_t length = contraction(text, at, true)) return at + length;
  size_t second = at;
  uint8_t cls = class_at(text, second);
  if (cls == kClassLetter) return run_end(text, second, kClassLetter);
  char c = text[at];
  if (cls != kClassNumber && c != '\r' && c != '\n' && second < text.size()) {
    size_t third = second;
    if (class_at(text, third) == kClassLetter) return run_end(text, third, kClassLetter);
  }
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
    while (end < text.size() && (text[end] == '\r' || text[end] == '\n')) ++end;
    return end;
  }
  // \s*[\r\n]+ : up to the last line break of the run of white space.
  size_t end = run_end(text, at, kClassSpace);
  for (size_t i = end; i > at; --i)
    if (text[i - 1] == '\n' || text[i - 1] == '\r') return i;
  return scan_space(text, at, second);
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

Scanner find_scanner(std::string_view pattern) {
  if (pattern == R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)") return scan_gpt2;
  if (pattern == R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)") return scan_cl100k<3>;
  if (pattern == R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)") return scan_cl100k<1>;
  return nullptr;
}

}  // namespace enfold
