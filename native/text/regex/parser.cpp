#include "text/regex/parser.hpp"

#include <algorithm>
#include <cstdlib>

namespace enfold::regex {
namespace {

constexpr uint32_t kLargestCount = 100000;

}  // namespace

void Parser::fail(const std::string& what, size_t at) const {
  size_t column = utf8_length(text_.substr(0, at));
  std::string shown(text_.size() <= 200 ? text_ : std::string_view());
  throw SyntaxError("regular expression: " + what + " at character " + std::to_string(column) +
                    (shown.empty() ? std::string() : " of " + shown));
}

std::optional<uint32_t> Parser::read_number() {
  size_t from = at_;
  uint64_t value = 0;
  while (more() && is_digit((unsigned char)text_[at_])) value = std::min<uint64_t>(value * 10 + uint64_t(text_[at_++] - '0'), UINT32_MAX);
  return at_ > from ? std::optional(uint32_t(value)) : std::nullopt;
}

// {m}, {m,}, {m,n}, {,n} behind the brace; false, with nothing read, when it is none of them.
bool Parser::read_interval(uint32_t& min, uint32_t& max, bool& possessive) {
  size_t from = at_ - 1;
  std::optional<uint32_t> low = read_number(), high = low;
  if (take(",")) {
    high = read_number();
    if (!low && !high) return at_ = from + 1, false;
  } else if (!low) {
    return at_ = from + 1, false;
  }
  if (!take("}")) return at_ = from + 1, false;
  min = low.value_or(0);
  max = high.value_or(kNoLimit);
  if (min > kLargestCount || (high && max > kLargestCount))
    fail("a repeat count is larger than " + std::to_string(kLargestCount), from);
  // {n,m} with n > m is how Oniguruma writes a possessive interval.
  possessive = max < min;
  if (possessive) std::swap(min, max);
  return true;
}

void Parser::repeat(uint32_t min, uint32_t max, Mode mode, size_t at) {
  std::vector<uint32_t>& items = groups_.back().items;
  const Node& target = build_.tree.nodes[items.back()];
  if (target.kind == Kind::Assert || target.kind == Kind::Look) fail("nothing that could be repeated stands before the repeat operator", at);
  // a** and the like: one of them says it all.
  if (target.kind == Kind::Repeat && target.min == 0 && target.max == kNoLimit && target.mode == Mode::Greedy && mode == Mode::Greedy &&
      max == kNoLimit)
    return;
  Node node;
  node.kind = Kind::Repeat;
  node.mode = mode;
  node.min = min;
  node.max = max;
  node.children = {items.back()};
  uint32_t made = build_.add(std::move(node));
  groups_.back().items.back() = made;
}

// The repeat operators behind what has just been read, if there are any.
void Parser::read_quantifier(size_t) {
  for (;;) {
    if (options_.extended) {
      // Blanks and comments may stand before an operator.
      while (more() && (text_[at_] == ' ' || (text_[at_] >= 9 && text_[at_] <= 13))) ++at_;
    }
    if (!more()) return;
    size_t at = at_;
    uint32_t min = 0, max = kNoLimit;
    bool interval = false, swapped = false;
    switch (text_[at_]) {
      case '*': break;
      case '+': min = 1; break;
      case '?': max = 1; break;
      case '{': interval = true; break;
      default: return;
    }
    ++at_;
    if (interval && !read_interval(min, max, swapped)) {
      at_ = at;
      return;
    }
    Mode mode = swapped ? Mode::Possessive : Mode::Greedy;
    if (!interval) {
      if (take("?")) mode = Mode::Lazy;
      else if (take("+")) mode = Mode::Possessive;
    } else if (min != max && !swapped && take("?")) {
      mode = Mode::Lazy;
    }
    if (groups_.back().items.empty()) fail("nothing stands before the repeat operator", at);
    repeat(min, max, mode, at);
  }
}

Tree Parser::run() {
  // Plain groups capture only where no group has a name.
  for (size_t i = 0; i + 3 < text_.size(); ++i) {
    if (text_[i] == '\\') ++i;
    else if (text_[i] == '(' && text_[i + 1] == '?' && ((text_[i + 2] == '<' && text_[i + 3] != '=' && text_[i + 3] != '!') || text_[i + 2] == '\''))
      named_ = true;
  }
  open({}, 0);
  while (more()) {
    size_t at = at_;
    char32_t c = take();
    switch (c) {
      case '|':
        groups_.back().branches.push_back(build_.concatenation(std::move(groups_.back().items)));
        groups_.back().items.clear();
        continue;
      case '(':
        open_group();
        if (groups_.back().node.kind == Kind::Capture && groups_.back().node.value == 0 && groups_.back().at == at) {
          if (named_) groups_.back().node = {};
          else groups_.back().node.value = ++build_.tree.groups;
        }
        continue;
      case ')': close_group(); continue;
      case '[': read_class(); break;
      case '.': {
        CharSet set(0, kLastCode);
        if (!options_.dot_all) set = CharSet(std::vector<CodeRange>{{0, 9}, {11, kLastCode}});
        groups_.back().items.push_back(build_.set_node(std::move(set)));
        break;
      }
      case '^':
      case '$':
        groups_.back().items.push_back(build_.leaf(Kind::Assert, uint32_t(c == '^' ? Assertion::LineBegin : Assertion::LineEnd)));
        break;
      case '\\': read_escape(); break;
      case '*':
      case '+':
      case '?': fail("nothing stands before the repeat operator", at);
      default:
        if (options_.extended) {
          if (c == ' ' || (c >= 9 && c <= 13)) continue;
          if (c == '#') {
            size_t end = text_.find('\n', at_);
            at_ = end == std::string_view::npos ? text_.size() : end + 1;
            continue;
          }
        }
        groups_.back().items.push_back(build_.character(c));
    }
    read_quantifier(at_);
  }
  while (groups_.back().implied) {
    uint32_t node = finish_group();
    groups_.back().items.push_back(node);
  }
  if (groups_.size() > 1) fail("a ( without its )", groups_.back().at);
  build_.tree.root = finish_group();

  resolve_references();
  return std::move(build_.tree);
}

void Parser::resolve_references() {
  for (const Pending& reference : references_) {
    Node& node = build_.tree.nodes[reference.node];
    const std::string& name = reference.name;
    bool number = is_digit((unsigned char)name[0]) || ((name[0] == '-' || name[0] == '+') && name.size() > 1);
    if (number) {
      int64_t wanted = std::strtoll(name.c_str(), nullptr, 10);
      if (wanted < 1 || wanted > build_.tree.groups) fail("there is no group " + name, reference.at);
      node.children = {uint32_t(wanted)};
    } else {
      auto found = names_.find(name);
      if (found == names_.end()) fail("there is no group named \"" + name + "\"", reference.at);
      node.children = found->second;
    }
  }
}

Tree parse(std::string_view pattern) { return Parser(pattern).run(); }

}  // namespace enfold::regex
