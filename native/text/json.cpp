#include "text/json.hpp"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <stdexcept>

#include "text/utf8.hpp"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace enfold {
namespace {

struct Reader {
  std::string_view source;
  std::unique_ptr<char[]>& decoded;
  size_t at = 0;
  char* room = nullptr;  // for the next decoded string
  int depth = 0;

  [[noreturn]] void fail(const char* what) const {
    size_t stop = std::min(at, source.size());
    size_t line = 1 + std::count(source.begin(), source.begin() + stop, '\n');
    size_t newline = source.substr(0, stop).rfind('\n');
    size_t column = stop - (newline == std::string_view::npos ? 0 : newline + 1);
    throw std::invalid_argument(std::string(what) + " at line " + std::to_string(line) + " column " + std::to_string(column + 1));
  }

  void space() {
    while (at < source.size() && (source[at] == ' ' || source[at] == '\n' || source[at] == '\t' || source[at] == '\r')) ++at;
  }
  char peek() {
    if (at < source.size() && source[at] > ' ') return source[at];
    space();
    if (at >= source.size()) fail("unexpected end of JSON");
    return source[at];
  }
  void expect(char c) {
    if (peek() != c) fail("unexpected character in JSON");
    ++at;
  }

  uint32_t hex4() {
    if (at + 4 > source.size()) fail("unexpected end of JSON");
    uint32_t value = 0;
    auto [end, error] = std::from_chars(source.data() + at, source.data() + at + 4, value, 16);
    if (error != std::errc() || end != source.data() + at + 4) fail("bad \\u escape in JSON");
    at += 4;
    return value;
  }

  // Moves to the next quote or backslash.
  void plain() {
#if defined(__SSE2__)
    const __m128i quote = _mm_set1_epi8('"'), slash = _mm_set1_epi8('\\');
    for (; at + 16 <= source.size(); at += 16) {
      __m128i block = _mm_loadu_si128(reinterpret_cast<const __m128i*>(source.data() + at));
      if (int hits = _mm_movemask_epi8(_mm_or_si128(_mm_cmpeq_epi8(block, quote), _mm_cmpeq_epi8(block, slash)))) {
        at += size_t(__builtin_ctz(unsigned(hits)));
        return;
      }
    }
#endif
    while (at < source.size() && source[at] != '"' && source[at] != '\\') ++at;
  }

  std::string_view string() {
    expect('"');
    size_t begin = at;
    plain();
    if (at >= source.size()) fail("unexpected end of JSON");
    if (source[at] == '"') return source.substr(begin, at++ - begin);
    // No escape is shorter than what it stands for: all decoded strings together fit into the size of the document.
    if (!decoded) {
      decoded = std::make_unique_for_overwrite<char[]>(source.size());
      room = decoded.get();
    }
    char* out = room;
    auto copy = [&](size_t from) {
      std::memcpy(out, source.data() + from, at - from);
      out += at - from;
    };
    copy(begin);
    for (;;) {
      if (at >= source.size()) fail("unexpected end of JSON");
      if (source[at] == '"') {
        std::string_view made(room, size_t(out - room));
        room = out;
        ++at;
        return made;
      }
      if (source[at] != '\\') {
        size_t from = at;
        plain();
        copy(from);
        continue;
      }
      if (++at >= source.size()) fail("unexpected end of JSON");
      switch (char e = source[at++]) {
        case 'n': *out++ = '\n'; break;
        case 't': *out++ = '\t'; break;
        case 'r': *out++ = '\r'; break;
        case 'b': *out++ = '\b'; break;
        case 'f': *out++ = '\f'; break;
        case 'u': {
          uint32_t code = hex4();
          if (code >= 0xD800 && code < 0xDC00 && source.substr(at, 2) == "\\u") {
            at += 2;
            uint32_t low = hex4();
            if (low < 0xDC00 || low > 0xDFFF) fail("lone surrogate in JSON");
            code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
          } else if (code >= 0xD800 && code <= 0xDFFF) {
            fail("lone surrogate in JSON");
          }
          out += utf8_put(code, out);
          break;
        }
        case '"': case '\\': case '/': *out++ = e; break;
        default: fail("bad escape in JSON");
      }
    }
  }

  // A number as JSON writes them; empty when there is none here.
  std::string_view number() {
    size_t begin = at;
    auto digits = [&] {
      size_t from = at;
      while (at < source.size() && source[at] >= '0' && source[at] <= '9') ++at;
      return at > from;
    };
    auto take = [&](char a, char b) { return at < source.size() && (source[at] == a || source[at] == b) && ++at; };
    bool negative = take('-', '-');
    if (!digits()) {
      if (negative) fail("bad number in JSON");
      return {};
    }
    if (take('.', '.') && !digits()) fail("bad number in JSON");
    if (take('e', 'E')) {
      take('+', '-');
      if (!digits()) fail("bad number in JSON");
    }
    return source.substr(begin, at - begin);
  }

  // Reads a list or an object as rows; false, with nothing read, when its entries are of other kinds.
  bool rows(Json& out) {
    size_t begin = at;
    char* held = room;
    auto other = [&] {
      at = begin;
      room = held;
      out.rows = {};
      out.form = Json::None;
      return false;
    };
    bool object = source[at++] == '{';
    char close = object ? '}' : ']';
    out.form = object ? Json::Members : Json::None;
    out.kind = object ? Json::Object : Json::Array;
    if (peek() == close) return ++at, true;
    do {
      JsonRow row;
      Json::Rows form = object ? Json::Members : Json::Texts;
      bool pair = !object && peek() == '[';
      if (pair) ++at;
      if (peek() != '"') return other();
      row.text = string();
      if (object) {
        expect(':');
        peek();
        if ((row.value = number()).empty()) return other();
      } else if (pair) {
        if (peek() != ',') return other();
        ++at;
        form = peek() == '"' ? Json::Pairs : Json::Scores;
        row.value = form == Json::Pairs ? string() : number();
        if ((form == Json::Scores && row.value.empty()) || peek() != ']') return other();
        ++at;
      }
      if (out.rows.empty()) out.form = form;
      else if (out.form != form) return other();
      out.rows.push_back(row);
    } while (peek() == ',' && ++at);
    expect(close);
    return true;
  }

  bool word(std::string_view expected) {
    if (source.substr(at, expected.size()) != expected) return false;
    at += expected.size();
    return true;
  }

  void value(Json& out) {
    if (++depth > 200) fail("JSON nested too deeply");
    char c = peek();
    size_t begin = at;
    if (c == '"') {
      out.kind = Json::String;
      out.text = string();
    } else if (c == '{') {
      out.kind = Json::Object;
      ++at;
      if (peek() == '}') {
        ++at;
      } else {
        do {
          space();
          std::string_view key = string();
          expect(':');
          Json& made = out.members.emplace_back(key, Json()).second;
          if (key == "vocab" || key == "merges") {
            char first = peek();
            size_t from = at;
            if ((first == '{' || first == '[') && rows(made)) {
              made.source = source.substr(from, at - from);
              continue;
            }
          }
          value(made);
        } while (peek() == ',' && ++at);
        expect('}');
      }
    } else if (c == '[') {
      out.kind = Json::Array;
      ++at;
      if (peek() == ']') {
        ++at;
      } else {
        do value(out.items.emplace_back());
        while (peek() == ',' && ++at);
        expect(']');
      }
    } else if (word("null")) {
    } else if (word("true")) {
      out.kind = Json::True;
    } else if (word("false")) {
      out.kind = Json::False;
    } else {
      out.text = number();
      if (at == begin) fail("unexpected character in JSON");
      out.kind = Json::Number;
      if (std::from_chars(out.text.data(), out.text.data() + out.text.size(), out.number).ec != std::errc()) fail("bad number in JSON");
    }
    out.source = source.substr(begin, at - begin);
    --depth;
  }
};

const Json kNull;

}  // namespace

Json::Json() = default;

const Json* Json::find(std::string_view key) const {
  for (const auto& [name, value] : members)
    if (name == key) return &value;
  return nullptr;
}

const Json& Json::operator[](std::string_view key) const {
  const Json* hit = find(key);
  return hit ? *hit : kNull;
}

JsonDocument::JsonDocument(std::string_view source) {
  Reader reader{source, decoded_};
  reader.value(root);
  reader.space();
  if (reader.at != source.size()) reader.fail("trailing characters after JSON");
}

void json_quote(std::string_view text, std::string& out) {
  static const char* hex = "0123456789abcdef";
  out.push_back('"');
  size_t done = 0;
  for (size_t at = 0; at < text.size(); ++at) {
    auto c = (unsigned char)text[at];
    if (c >= 0x20 && c != '"' && c != '\\') continue;
    out.append(text, done, at - done);
    done = at + 1;
    switch (c) {
      case '"': out += "\\\""; break;
      case '\\': out += "\\\\"; break;
      case '\n': out += "\\n"; break;
      case '\r': out += "\\r"; break;
      case '\t': out += "\\t"; break;
      case '\b': out += "\\b"; break;
      case '\f': out += "\\f"; break;
      default:
        out += "\\u00";
        out.push_back(hex[c >> 4]);
        out.push_back(hex[c & 15]);
    }
  }
  out.append(text, done, text.size() - done);
  out.push_back('"');
}

std::string json_indent(std::string_view text) {
  std::string out;
  out.reserve(text.size() * 5 / 2);
  size_t depth = 0;
  auto line = [&] {
    out.push_back('\n');
    out.append(2 * depth, ' ');
  };
  for (size_t at = 0; at < text.size(); ++at) {
    char c = text[at];
    if (c == '"') {
      size_t end = at + 1;
      while (end < text.size() && text[end] != '"') end += text[end] == '\\' ? 2 : 1;
      end = std::min(end + 1, text.size());
      out.append(text, at, end - at);
      at = end - 1;
    } else if (c == '{' || c == '[') {
      out.push_back(c);
      if (at + 1 < text.size() && (text[at + 1] == '}' || text[at + 1] == ']')) {
        out.push_back(text[++at]);
        continue;
      }
      ++depth;
      line();
    } else if (c == '}' || c == ']') {
      depth -= depth > 0;
      line();
      out.push_back(c);
    } else {
      out.push_back(c);
      if (c == ',') line();
      else if (c == ':') out.push_back(' ');
    }
  }
  return out;
}

}  // namespace enfold
