// Feeds a pattern (up to the first zero byte) and a text (what follows) to the regular expression engine.
// Sources: text/regex text/graphemes.cpp text/utf8.cpp
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "text/regex/regex.hpp"
#include "text/utf8.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view all(reinterpret_cast<const char*>(data), size);
  size_t zero = all.find('\0');
  std::string pattern, text;
  // Both come from Python as valid UTF-8.
  enfold::utf8_append_lossy(all.substr(0, zero), pattern);
  if (zero != std::string_view::npos) enfold::utf8_append_lossy(all.substr(zero + 1), text);
  try {
    enfold::regex::Regex regex(pattern);
    enfold::regex::Matches matches(regex, text);
    size_t last = 0;
    for (enfold::regex::Match match; matches.next(match);) {
      // In order, within the text, on whole characters. \K may move a begin back before it.
      if (match.begin > match.end || match.end > text.size() || match.end < last) std::abort();
      if (match.end < text.size() && (text[match.end] & 0xC0) == 0x80) std::abort();
      if (match.begin < text.size() && (text[match.begin] & 0xC0) == 0x80) std::abort();
      last = match.end;
    }
  } catch (const enfold::regex::SyntaxError&) {
  } catch (const enfold::regex::TooHard&) {
  }
  return 0;
}
