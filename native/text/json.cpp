#include "text/json.hpp"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <stdexcept>

#include "text/utf8.hpp"

namespace enfold {
namespace {

struct Reader {
  std::string_view source;
  std::deque<std::string>& decoded;
  size_t at = 0;
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

  std::string_view string() {
    expect('"');
    size_t begin = at;
    while (at < source.size() && source[at] != '"' && source[at] != '\\') ++at;
    if (at >= source.size()) fail("unexpected end of JSON");
    if (source[at] == '"') return source.substr(begin, at++ - begin);
    std::string& out = decoded.emplace_back(source.substr(begin, at - begin));
    for (;;) {
      if (at >= source.size()) fail("unexpected end of JSON");
      char c = source[at++];
      if (c == '"') return out;
      if (c != '\\') {
        out.push_back(c);
        continue;
      }
      if (at >= source.size()) fail("unexpected end of JSON");
      switch (char e = source[at++]) {
        case 'n': out.push_back('\n'); break;
        case 't': out.push_back('\t'); break;
        case 'r': out.push_back('\r'); break;
        case 'b': out.push_back('\b'); break;
        case 'f': out.push_back('\f'); break;
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
          utf8_append(code, out);
          break;
        }
        case '"': case '\\': case '/': out.push_back(e); break;
        default: fail("bad escape in JSON");
      }
    }
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
          value(out.members.emplace_back(key, Json{}).second);
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
      while (at < source.size() && std::strchr("+-0123456789.eE", source[at]) && source[at]) ++at;
      if (at == begin) fail("unexpected character in JSON");
      out.kind = Json::Number;
      out.text = source.substr(begin, at - begin);
      if (std::from_chars(out.text.data(), out.text.data() + out.text.size(), out.number).ec != std::errc()) fail("bad number in JSON");
    }
    out.source = source.substr(begin, at - begin);
    --depth;
  }
};

const Json kNull;

}  // namespace

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
  for (char c : text) {
    switch (c) {
      case '"': out += "\\\""; break;
      case '\\': out += "\\\\"; break;
      case '\n': out += "\\n"; break;
      case '\r': out += "\\r"; break;
      case '\t': out += "\\t"; break;
      case '\b': out += "\\b"; break;
      case '\f': out += "\\f"; break;
      default:
        if ((unsigned char)c < 0x20) {
          out += "\\u00";
          out.push_back(hex[c >> 4 & 15]);
          out.push_back(hex[c & 15]);
        } else {
          out.push_back(c);
        }
    }
  }
  out.push_back('"');
}

}  // namespace enfold
