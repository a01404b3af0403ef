// What a backslash begins: characters, assertions, references to groups.
#include <algorithm>
#include <cstdlib>

#include "text/regex/parser.hpp"

namespace enfold::regex {
namespace {

int hex_value(char32_t c) {
  return is_digit(c) ? int(c - '0') : c >= 'a' && c <= 'f' ? int(c - 'a' + 10) : c >= 'A' && c <= 'F' ? int(c - 'A' + 10) : -1;
}

}  // namespace

// The character that an escape stands for; `letter` has been read.
char32_t Parser::read_code(char32_t letter, size_t at) {
  auto digits = [&](int base, size_t most) {
    uint64_t value = 0;
    for (size_t i = 0; i < most && more(); ++i) {
      int digit = hex_value((unsigned char)text_[at_]);
      if (digit < 0 || digit >= base) break;
      value = std::min<uint64_t>(value * base + uint64_t(digit), UINT32_MAX);
      ++at_;
    }
    return value;
  };
  uint64_t code = 0;
  switch (letter) {
    case 't': return '\t';
    case 'n': return '\n';
    case 'r': return '\r';
    case 'f': return '\f';
    case 'v': return '\v';
    case 'a': return '\a';
    case 'e': return 27;
    case 'u': {
      size_t from = at_;
      code = digits(16, 4);
      if (at_ - from < 4) fail("\\u wants four hexadecimal digits", at);
      break;
    }
    case 'x':
    case 'o':
      if (more() && text_[at_] == '{') {
        size_t brace = at_++;
        code = digits(letter == 'x' ? 16 : 8, 11);
        if (at_ > brace + 1 && take("}")) break;
        at_ = brace;
        if (letter == 'o') return 'o';
        return 0;
      }
      if (letter == 'o') return 'o';
      code = digits(16, 2);
      if (code > 127) {
        // Bytes of one character, one escape each.
        std::string bytes(1, char(code));
        size_t width = utf8_width((unsigned char)code);
        while (bytes.size() < width && text_.substr(at_).starts_with("\\x")) {
          at_ += 2;
          bytes.push_back(char(digits(16, 2)));
        }
        if (!utf8_valid(bytes)) fail("\\x does not stand for a character here", at);
        size_t from = 0;
        return utf8_next(bytes, from);
      }
      break;
    case '0': case '1': case '2': case '3': case '4': case '5': case '6': case '7':
      --at_;
      code = digits(8, letter == '0' ? 3 : 3);
      if (code > 127) fail("an octal escape beyond 177 stands for no character", at);
      break;
    case 'c': {
      if (!more()) fail("the pattern ends at an escape", at);
      char32_t c = take();
      return c == '?' ? 127 : c & 0x9F;
    }
    case 'C':
      if (!take("-")) fail("\\C wants a dash", at);
      return read_code('c', at);
    default: return letter;
  }
  if (code > kLastCode) fail("a code point beyond 10FFFF", at);
  return char32_t(code);
}

// Lets a node speak of the group with a name or a number, once all groups are known.
void Parser::refer(uint32_t node, const std::string& name, size_t at) {
  build_.tree.back_references = true;
  // -1 is the group that was opened last.
  bool relative = name[0] == '-' && name.size() > 1 && is_digit((unsigned char)name[1]);
  int64_t number = relative ? int64_t(build_.tree.groups) + 1 + std::strtoll(name.c_str(), nullptr, 10) : 0;
  references_.push_back({node, relative ? std::to_string(number) : name, at});
}

void Parser::back_reference(const std::string& name, size_t at) {
  Node node;
  node.kind = Kind::BackRef;
  node.fold = options_.fold;
  uint32_t made = build_.add(std::move(node));
  refer(made, name, at);
  groups_.back().items.push_back(made);
}

void Parser::read_escape() {
  size_t at = at_ - 1;
  if (!more()) fail("the pattern ends at an escape", at);
  std::vector<uint32_t>& items = groups_.back().items;
  auto assertion = [&](Assertion what) {
    Node node;
    node.kind = Kind::Assert;
    node.value = uint32_t(what);
    node.ascii = options_.ascii_word;
    items.push_back(build_.add(std::move(node)));
  };
  size_t letter_at = at_;
  char32_t letter = take();
  switch (letter) {
    case 'd': case 'D': case 's': case 'S': case 'w': case 'W': case 'h': case 'H':
      items.push_back(build_.set_node(shorthand(char(letter))));
      break;
    case 'p': case 'P':
      if (more() && text_[at_] == '{') items.push_back(build_.set_node(read_property(at)));
      else items.push_back(build_.character(letter));
      break;
    case 'A': assertion(Assertion::TextBegin); break;
    case 'z': assertion(Assertion::TextEnd); break;
    case 'Z': assertion(Assertion::TextEndLine); break;
    case 'G': assertion(Assertion::SearchBegin); break;
    case 'b': assertion(Assertion::Word); break;
    case 'B': assertion(Assertion::NotWord); break;
    case 'K': items.push_back(build_.leaf(Kind::Keep)); break;
    case 'N': {
      CharSet set(U'\n');
      set.negate();
      items.push_back(build_.set_node(std::move(set)));
      break;
    }
    case 'O': items.push_back(build_.set_node(CharSet(0, kLastCode))); break;
    case 'R': {
      // (?>\r\n|[\n-\r\u0085\u2028\u2029])
      CharSet set(std::vector<CodeRange>{{10, 13}, {0x85, 0x85}, {0x2028, 0x2029}});
      uint32_t pair = build_.join(Kind::Concat, {build_.leaf(Kind::Char, '\r'), build_.leaf(Kind::Char, '\n')});
      uint32_t one = build_.set_node(std::move(set));
      items.push_back(build_.wrap(Kind::Atomic, build_.join(Kind::Alternate, {pair, one})));
      break;
    }
    case 'X': items.push_back(build_.leaf(Kind::Segment)); break;
    case 'y': assertion(Assertion::Segment); break;
    case 'Y': assertion(Assertion::NotSegment); break;
    case 'g':
      if (more() && (text_[at_] == '<' || text_[at_] == '\'')) fail("calls of groups (\\g) are not supported", at);
      items.push_back(build_.character('g'));
      break;
    case 'k':
      if (take("<") || take("'")) back_reference(read_name(text_[at_ - 1] == '<' ? '>' : '\'', at), at);
      else items.push_back(build_.character('k'));
      break;
    case '1': case '2': case '3': case '4': case '5': case '6': case '7': case '8': case '9': {
      at_ = letter_at;
      uint32_t number = *read_number();
      // \10 and beyond are octal unless there are so many groups.
      if (number < 10 || number <= build_.tree.groups) {
        back_reference(std::to_string(number), at);
        break;
      }
      at_ = letter_at;
      char32_t digit = take();
      items.push_back(build_.character(digit < '8' ? read_code(digit, at) : digit));
      break;
    }
    default: items.push_back(build_.character(read_code(letter, at)));
  }
}

}  // namespace enfold::regex
