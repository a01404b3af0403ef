#include "text/utf8.hpp"

#include <cstring>

namespace enfold {

size_t utf8_check(std::string_view text, size_t at, size_t& bad) {
  const auto* p = reinterpret_cast<const unsigned char*>(text.data()) + at;
  size_t left = text.size() - at;
  bad = 1;
  unsigned char lead = p[0];
  if (lead < 0x80) return 1;
  if (lead < 0xC2 || lead > 0xF4) return 0;
  size_t width = utf8_width(lead);
  unsigned char low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
  unsigned char high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
  for (size_t i = 1; i < width; ++i) {
    if (i >= left || p[i] < low || p[i] > high) {
      bad = i;
      return 0;
    }
    low = 0x80;
    high = 0xBF;
  }
  return width;
}

void utf8_append_lossy(std::string_view bytes, std::string& out) {
  size_t at = 0;
  while (at < bytes.size()) {
    size_t bad;
    if (size_t width = utf8_check(bytes, at, bad)) {
      out.append(bytes.substr(at, width));
      at += width;
    } else {
      out.append("\xEF\xBF\xBD");
      at += bad;
    }
  }
}

bool utf8_valid(std::string_view bytes) {
  return utf8_invalid(bytes) == std::string_view::npos;
}

size_t utf8_invalid(std::string_view bytes) {
  size_t at = 0, bad;
  while (at < bytes.size()) {
    uint64_t word;
    if (bytes.size() - at >= 8 && (std::memcpy(&word, bytes.data() + at, 8), (word & 0x8080808080808080) == 0)) {
      at += 8;
      continue;
    }
    size_t width = utf8_check(bytes, at, bad);
    if (!width) return at;
    at += width;
  }
  return std::string_view::npos;
}

}  // namespace enfold
