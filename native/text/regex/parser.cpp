#include <algorithm>
#include <cstdlib>
#include <map>
#include <optional>

#include "text/regex/syntax.hpp"
#include "text/utf8.hpp"

namespace enfold::regex {
namespace {

constexpr size_t kDeepest = 4096;         // groups or classes within each other, as Oniguruma has it
constexpr uint32_t kLargestCount = 100000;
constexpr uint32_t kWrittenOut = 512;      // instructions that a counted repeat may become
constexpr uint32_t kHuge = 1u << 30;      // "at least so many" in the saturating sums

uint32_t sum(uint32_t a, uint32_t b) { return std::min(kHuge, a + b); }
// A word as its characters compare when case is ignored.
std::u32string keyed(std::u32string_view word) {
  std::u32string made;
  for (char32_t code : word) made.push_back(case_key(code));
  return made;
}

uint32_t product(uint32_t a, uint32_t b) { return uint32_t(std::min<uint64_t>(kHuge, uint64_t(a) * b)); }

struct Options {
  bool fold = false, dot_all = false, extended = false;
  bool ascii_word = false, ascii_digit = false, ascii_space = false, ascii_posix = false;
};

bool is_digit(char32_t c) { return c >= '0' && c <= '9'; }
int hex_value(char32_t c) {
  return is_digit(c) ? int(c - '0') : c >= 'a' && c <= 'f' ? int(c - 'a' + 10) : c >= 'A' && c <= 'F' ? int(c - 'A' + 10) : -1;
}

class Parser {
 public:
  explicit Parser(std::string_view pattern) : text_(pattern) {}
  Tree run();

 private:
  // A group that is open; the last one is the one being read.
  struct Group {
    size_t at;             // where it begins
    Node node;             // what it becomes; Empty for a plain group
    Options before;        // what holds again after it
    bool implied = false;  // opened by (?i), closed together with the group around it
    std::vector<uint32_t> branches, items;
  };
  struct Class {
    size_t at;
    bool negated = false;
    std::vector<CodeRange> items;
    std::optional<CharSet> left;  // what stands before &&
    std::vector<CharSet> subtrahends;
  };

  [[noreturn]] void fail(const std::string& what, size_t at) const;
  bool more() const { return at_ < text_.size(); }
  char32_t peek() const {
    size_t at = at_;
    return utf8_next(text_, at);
  }
  char32_t take() { return utf8_next(text_, at_); }
  bool take(std::string_view word) {
    if (!text_.substr(at_).starts_with(word)) return false;
    at_ += word.size();
    return true;
  }

  uint32_t add(Node node);
  uint32_t leaf(Kind kind, uint32_t value = 0);
  uint32_t set_node(CharSet set);
  uint32_t character(char32_t code);
  uint32_t join(Kind kind, std::vector<uint32_t> children);
  uint32_t concatenation(std::vector<uint32_t> items);
  uint32_t alternation(std::vector<uint32_t> branches);
  uint32_t spelled(std::u32string_view word);
  void measure(Node& node);

  void open_group();
  void close_group();
  void open(Node node, size_t at, bool implied = false);
  uint32_t finish_group();
  bool read_options(size_t at);
  void read_escape();
  void read_class();
  CharSet finish_class(Class& cls) const;
  void read_quantifier(size_t target_at);
  bool read_interval(uint32_t& min, uint32_t& max, bool& possessive);
  void repeat(uint32_t min, uint32_t max, Mode mode, size_t at);
  std::optional<uint32_t> read_number();
  std::string read_name(char close, size_t at);
  void back_reference(const std::string& name, size_t at);
  CharSet read_property(size_t at);
  CharSet shorthand(char letter) const;
  char32_t read_code(char32_t letter, size_t at);

  std::string_view text_;
  size_t at_ = 0;
  Tree tree_;
  Options options_;
  std::vector<Group> groups_;
  std::map<std::string, std::vector<uint32_t>> names_;
  bool named_ = false;
  struct Pending {
    uint32_t node;
    std::string name;
    size_t at;
  };
  std::vector<Pending> references_;
  std::map<std::u32string, uint32_t> known_sets_;
};

void Parser::fail(const std::string& what, size_t at) const {
  size_t column = utf8_length(text_.substr(0, at));
  std::string shown(text_.size() <= 200 ? text_ : std::string_view());
  throw SyntaxError("regular expression: " + what + " at character " + std::to_string(column) +
                    (shown.empty() ? std::string() : " of " + shown));
}

// Everything about a node that follows from its children.
void Parser::measure(Node& node) {
  auto child = [&](size_t i) -> const Node& { return tree_.nodes[node.children[i]]; };
  switch (node.kind) {
    case Kind::Char: {
      node.least = node.most = 1;
      node.nullable = false;
      char bytes[4];
      utf8_put(node.value, bytes);
      node.first.set((unsigned char)bytes[0]);
      break;
    }
    case Kind::Set:
      node.least = node.most = 1;
      node.nullable = false;
      node.first = tree_.sets[node.value].first_bytes();
      break;
    case Kind::Concat:
      node.size = 0;
      for (size_t i = 0; i < node.children.size(); ++i) {
        const Node& part = child(i);
        if (node.nullable) node.first |= part.first;
        node.nullable = node.nullable && part.nullable;
        node.least = sum(node.least, part.least);
        node.most = sum(node.most, part.most);
        node.size = sum(node.size, part.size);
      }
      break;
    case Kind::Alternate:
      node.least = kHuge;
      node.nullable = false;
      for (size_t i = 0; i < node.children.size(); ++i) {
        const Node& part = child(i);
        node.first |= part.first;
        node.nullable = node.nullable || part.nullable;
        node.least = std::min(node.least, part.least);
        node.most = std::max(node.most, part.most);
        node.size = sum(node.size, sum(part.size, 1));
      }
      break;
    case Kind::Repeat:
      node.least = product(child(0).least, node.min);
      node.most = node.max == kNoLimit ? (child(0).most ? kHuge : 0) : product(child(0).most, node.max);
      node.first = child(0).first;
      node.nullable = node.min == 0 || child(0).nullable;
      if (child(0).most == 1 && child(0).least == 1 && (child(0).kind == Kind::Char || child(0).kind == Kind::Set)) {
        node.size = 1;
      } else {
        // Small ones are written out, which keeps the count out of the state of a match.
        uint32_t copies = node.max == kNoLimit ? sum(node.min, 1) : node.max;
        uint32_t written = product(sum(child(0).size, 3), copies);
        node.expand = copies <= 1 || written <= kWrittenOut;
        node.size = node.expand ? sum(written, 4) : sum(child(0).size, 6);
      }
      break;
    case Kind::Capture:
    case Kind::Atomic:
      node.least = child(0).least;
      node.most = child(0).most;
      node.first = child(0).first;
      node.nullable = child(0).nullable;
      node.size = sum(child(0).size, 2);
      break;
    case Kind::Look:
      node.size = sum(child(0).size, 3);
      break;
    case Kind::BackRef:
      node.most = kHuge;
      node.first.set();
      break;
    default: break;
  }
}

uint32_t Parser::add(Node node) {
  measure(node);
  tree_.nodes.push_back(std::move(node));
  return uint32_t(tree_.nodes.size() - 1);
}

uint32_t Parser::leaf(Kind kind, uint32_t value) {
  Node node;
  node.kind = kind;
  node.value = value;
  return add(std::move(node));
}

uint32_t Parser::set_node(CharSet set) {
  std::u32string key;
  for (const CodeRange& range : set.ranges()) key.append({range.first, range.last});
  auto [found, fresh] = known_sets_.try_emplace(key, uint32_t(tree_.sets.size()));
  if (fresh) tree_.sets.push_back(std::move(set));
  return leaf(Kind::Set, found->second);
}

// One character as it stands in the pattern.
uint32_t Parser::character(char32_t code) {
  if (options_.fold) {
    std::vector<char32_t> same = case_variants(code);
    if (same.size() > 1) {
      std::vector<CodeRange> ranges;
      for (char32_t one : same) ranges.push_back({one, one});
      uint32_t node = set_node(CharSet(std::move(ranges)));
      tree_.nodes[node].fold = true;
      return node;
    }
  }
  uint32_t node = leaf(Kind::Char, code);
  tree_.nodes[node].fold = options_.fold;
  return node;
}

uint32_t Parser::spelled(std::u32string_view word) {
  std::vector<uint32_t> items;
  for (char32_t code : word) items.push_back(character(code));
  return join(Kind::Concat, std::move(items));
}

uint32_t Parser::join(Kind kind, std::vector<uint32_t> children) {
  if (children.size() == 1) return children[0];
  if (children.empty()) return leaf(Kind::Empty);
  Node node;
  node.kind = kind;
  node.children = std::move(children);
  return add(std::move(node));
}

// Where case is ignored, some characters equal several: ß and ss, ﬆ and st. Such a character, and such a sequence, becomes
// a choice among all that equal it.
uint32_t Parser::concatenation(std::vector<uint32_t> items) {
  std::vector<uint32_t> made;
  std::u32string keys;  // of the characters for which case is ignored; 0 for all other items
  bool any = false;
  for (uint32_t item : items) {
    const Node& node = tree_.nodes[item];
    bool folds = node.fold && (node.kind == Kind::Char || (node.kind == Kind::Set && node.value < tree_.sets.size()));
    char32_t one = !folds ? 0 : node.kind == Kind::Char ? node.value : tree_.sets[node.value].ranges()[0].first;
    keys.push_back(folds ? case_key(one) : 0);
    any = any || folds;
  }
  if (!any) return join(Kind::Concat, std::move(items));
  Options before = options_;
  options_.fold = true;
  for (size_t i = 0; i < items.size();) {
    if (!keys[i]) {
      made.push_back(items[i++]);
      continue;
    }
    // The longest sequence that has an equal here.
    std::u32string_view folded;
    for (const LongFolding& folding : long_foldings()) {
      if (case_key(folding.code) == keys[i]) folded = folding.folded;
      else if (folding.folded.size() > folded.size() && folding.folded.size() > 1 && std::u32string_view(keys).substr(i).starts_with(keyed(folding.folded)))
        folded = folding.folded;
    }
    bool whole = !folded.empty() && std::u32string_view(keys).substr(i).starts_with(keyed(folded));
    if (folded.empty()) {
      made.push_back(items[i++]);
      continue;
    }
    std::vector<uint32_t> ways;
    std::vector<CodeRange> single;
    for (const LongFolding& folding : long_foldings())
      if (keyed(folding.folded) == keyed(folded)) single.push_back({folding.code, folding.code});
    if (whole) {
      ways.push_back(join(Kind::Concat, {items.begin() + i, items.begin() + i + folded.size()}));
    } else {
      single.push_back({keys[i], keys[i]});
      ways.push_back(spelled(folded));
    }
    CharSet set(std::move(single));
    set.close_over_case();
    ways.push_back(set_node(std::move(set)));
    made.push_back(join(Kind::Alternate, std::move(ways)));
    i += whole ? folded.size() : 1;
  }
  options_ = before;
  return join(Kind::Concat, std::move(made));
}

// One of several characters is a class: no choice to come back to.
uint32_t Parser::alternation(std::vector<uint32_t> branches) {
  std::vector<uint32_t> kept;
  std::vector<CodeRange> chars;
  for (size_t i = 0; i < branches.size();) {
    size_t end = i;
    chars.clear();
    while (end < branches.size()) {
      const Node& node = tree_.nodes[branches[end]];
      if (node.kind == Kind::Char) {
        chars.push_back({node.value, node.value});
      } else if (node.kind == Kind::Set) {
        const auto& ranges = tree_.sets[node.value].ranges();
        chars.insert(chars.end(), ranges.begin(), ranges.end());
      } else {
        break;
      }
      ++end;
    }
    if (end - i > 1) kept.push_back(set_node(CharSet(chars)));
    else kept.push_back(branches[i]), end = i + 1;
    i = end;
  }
  return join(Kind::Alternate, std::move(kept));
}

void Parser::open(Node node, size_t at, bool implied) {
  if (groups_.size() >= kDeepest) fail("groups are nested more than " + std::to_string(kDeepest) + " deep", at);
  groups_.push_back({at, std::move(node), options_, implied, {}, {}});
}

// What the innermost group has become; the group is gone.
uint32_t Parser::finish_group() {
  Group group = std::move(groups_.back());
  groups_.pop_back();
  group.branches.push_back(concatenation(std::move(group.items)));
  uint32_t body = alternation(std::move(group.branches));
  options_ = group.before;
  if (group.node.kind == Kind::Empty) return body;
  group.node.children = {body};
  return add(std::move(group.node));
}

void Parser::close_group() {
  size_t at = at_ - 1;
  while (groups_.back().implied) {
    uint32_t node = finish_group();
    groups_.back().items.push_back(node);
  }
  if (groups_.size() == 1) fail("a ) without its (", at);
  uint32_t node = finish_group();
  groups_.back().items.push_back(node);
  read_quantifier(at_);
}

// (?imx-imx) and (?imx-imx: after the question mark. False when it is neither.
bool Parser::read_options(size_t at) {
  Options made = options_;
  bool on = true;
  for (;;) {
    if (!more()) fail("the pattern ends within a group", at);
    switch (char32_t c = take()) {
      case 'i': made.fold = on; break;
      case 'm': made.dot_all = on; break;
      case 'x': made.extended = on; break;
      case 'W': made.ascii_word = on; break;
      case 'D': made.ascii_digit = on; break;
      case 'S': made.ascii_space = on; break;
      case 'P': made.ascii_posix = made.ascii_word = made.ascii_digit = made.ascii_space = on; break;
      case '-': on = false; break;
      case ':':
      case ')':
        open({}, at, c == ')');
        options_ = made;
        return true;
      default: fail("an unknown kind of group", at);
    }
  }
}

std::string Parser::read_name(char close, size_t at) {
  size_t end = text_.find(close, at_);
  if (end == std::string_view::npos) fail("the name of a group has no end", at);
  std::string name(text_.substr(at_, end - at_));
  if (name.empty()) fail("the name of a group is empty", at);
  at_ = end + 1;
  return name;
}

void Parser::open_group() {
  size_t at = at_ - 1;
  Node node;
  if (!take("?")) {
    if (take("*")) fail("callouts such as (*FAIL) are not supported", at);
    node.kind = Kind::Capture;
    node.value = 0;  // numbered below, unless there are named groups
    return open(std::move(node), at);
  }
  if (take("#")) {
    while (more()) {
      char32_t c = take();
      if (c == '\\' && more()) take();
      else if (c == ')') return;
    }
    fail("a comment has no end", at);
  }
  if (take(":")) return open({}, at);
  if (take(">")) {
    node.kind = Kind::Atomic;
    return open(std::move(node), at);
  }
  if (take("=") || take("!")) {
    node.kind = Kind::Look;
    node.negative = text_[at_ - 1] == '!';
    return open(std::move(node), at);
  }
  if (take("<=") || take("<!")) {
    node.kind = Kind::Look;
    node.ahead = false;
    node.negative = text_[at_ - 1] == '!';
    return open(std::move(node), at);
  }
  if (take("<") || take("'")) {
    std::string name = read_name(text_[at_ - 1] == '<' ? '>' : '\'', at);
    if (is_digit((unsigned char)name[0]) || name.find_first_of("()") != std::string::npos) fail("\"" + name + "\" is no name of a group", at);
    node.kind = Kind::Capture;
    node.value = ++tree_.groups;
    names_[name].push_back(node.value);
    return open(std::move(node), at);
  }
  if (take("~")) fail("absent groups (?~…) are not supported", at);
  if (take("(")) fail("conditional groups (?(…)…) are not supported", at);
  if (take("{")) fail("callouts (?{…}) are not supported", at);
  read_options(at);
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
  const Node& target = tree_.nodes[items.back()];
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
  uint32_t made = add(std::move(node));
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

CharSet Parser::shorthand(char letter) const {
  bool upper = letter < 'a';
  char lower = upper ? char(letter + 32) : letter;
  CharSet set = escape_class(lower);
  if ((lower == 'w' && options_.ascii_word) || (lower == 'd' && options_.ascii_digit) || (lower == 's' && options_.ascii_space))
    set.intersect(CharSet(0, 127));
  if (upper) set.negate();
  return set;
}

// {name}, {^name} or nothing of the kind behind \p or \P.
CharSet Parser::read_property(size_t at) {
  bool negative = text_[at_ - 1] == 'P';
  ++at_;  // the brace
  if (take("^")) negative = !negative;
  size_t end = text_.find('}', at_);
  if (end == std::string_view::npos) fail("\\p{ has no }", at);
  std::string name(text_.substr(at_, end - at_));
  CharSet set;
  if (!property(name, set)) {
    std::string_view near = nearest_property(name);
    fail("there is no character property \"" + name + "\"" + (near.empty() ? "" : " (did you mean \"" + std::string(near) + "\"?)"), at);
  }
  at_ = end + 1;
  if (options_.ascii_posix) set.intersect(CharSet(0, 127));
  if (negative) set.negate();
  return set;
}

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

void Parser::back_reference(const std::string& name, size_t at) {
  Node node;
  node.kind = Kind::BackRef;
  node.fold = options_.fold;
  tree_.back_references = true;
  uint32_t made = add(std::move(node));
  // -1 is the group that was opened last.
  bool relative = name[0] == '-' && name.size() > 1 && is_digit((unsigned char)name[1]);
  int64_t number = relative ? int64_t(tree_.groups) + 1 + std::strtoll(name.c_str(), nullptr, 10) : 0;
  references_.push_back({made, relative ? std::to_string(number) : name, at});
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
    items.push_back(add(std::move(node)));
  };
  size_t letter_at = at_;
  char32_t letter = take();
  switch (letter) {
    case 'd': case 'D': case 's': case 'S': case 'w': case 'W': case 'h': case 'H':
      items.push_back(set_node(shorthand(char(letter))));
      break;
    case 'p': case 'P':
      if (more() && text_[at_] == '{') items.push_back(set_node(read_property(at)));
      else items.push_back(character(letter));
      break;
    case 'A': assertion(Assertion::TextBegin); break;
    case 'z': assertion(Assertion::TextEnd); break;
    case 'Z': assertion(Assertion::TextEndLine); break;
    case 'G': assertion(Assertion::SearchBegin); break;
    case 'b': assertion(Assertion::Word); break;
    case 'B': assertion(Assertion::NotWord); break;
    case 'K': items.push_back(leaf(Kind::Keep)); break;
    case 'N': {
      CharSet set(U'\n');
      set.negate();
      items.push_back(set_node(std::move(set)));
      break;
    }
    case 'O': items.push_back(set_node(CharSet(0, kLastCode))); break;
    case 'R': {
      // (?>\r\n|[\n-\r\u0085\u2028\u2029])
      CharSet set(std::vector<CodeRange>{{10, 13}, {0x85, 0x85}, {0x2028, 0x2029}});
      uint32_t pair = join(Kind::Concat, {leaf(Kind::Char, '\r'), leaf(Kind::Char, '\n')});
      Node node;
      node.kind = Kind::Atomic;
      uint32_t one = set_node(std::move(set));
      node.children = {join(Kind::Alternate, {pair, one})};
      items.push_back(add(std::move(node)));
      break;
    }
    case 'X': case 'y': case 'Y': fail("text segments (\\X, \\y, \\Y) are not supported", at);
    case 'g':
      if (more() && (text_[at_] == '<' || text_[at_] == '\'')) fail("calls of groups (\\g) are not supported", at);
      items.push_back(character('g'));
      break;
    case 'k':
      if (take("<") || take("'")) back_reference(read_name(text_[at_ - 1] == '<' ? '>' : '\'', at), at);
      else items.push_back(character('k'));
      break;
    case '1': case '2': case '3': case '4': case '5': case '6': case '7': case '8': case '9': {
      at_ = letter_at;
      uint32_t number = *read_number();
      // \10 and beyond are octal unless there are so many groups.
      if (number < 10 || number <= tree_.groups) {
        back_reference(std::to_string(number), at);
        break;
      }
      at_ = letter_at;
      char32_t digit = take();
      items.push_back(character(digit < '8' ? read_code(digit, at) : digit));
      break;
    }
    default: items.push_back(character(read_code(letter, at)));
  }
}

CharSet Parser::finish_class(Class& cls) const {
  CharSet set(std::move(cls.items));
  if (cls.left) {
    cls.left->intersect(set);
    set = std::move(*cls.left);
  }
  return set;
}

void Parser::read_class() {
  std::vector<Class> open;
  auto begin = [&](size_t at) {
    if (open.size() >= kDeepest) fail("character classes are nested more than " + std::to_string(kDeepest) + " deep", at);
    Class cls;
    cls.at = at;
    cls.negated = take("^");
    // A ] that comes first stands for itself, if there is another one.
    if (more() && text_[at_] == ']') {
      if (text_.find(']', at_ + 1) == std::string_view::npos) fail("an empty character class", at);
      ++at_;
      cls.items.push_back({']', ']'});
    }
    open.push_back(std::move(cls));
  };
  begin(at_ - 1);
  // What stands to the left of a dash: a character, a class, or nothing.
  enum { Nothing, Character, Set } last = open[0].items.empty() ? Nothing : Character;
  char32_t from = ']';
  auto unite = [&](const CharSet& set) {
    auto& items = open.back().items;
    items.insert(items.end(), set.ranges().begin(), set.ranges().end());
    last = Set;
  };
  while (more()) {
    size_t at = at_;
    char32_t c = take();
    bool literal = false;
    if (c == ']') {
      Class cls = std::move(open.back());
      open.pop_back();
      CharSet set = finish_class(cls);
      if (open.empty()) {
        std::vector<uint32_t> branches;
        if (options_.fold) {
          if (!cls.negated)
            for (const LongFolding& folding : long_foldings())
              if (set.contains(folding.code)) branches.push_back(spelled(folding.folded));
          set.close_over_case();
        }
        if (cls.negated) set.negate();
        branches.insert(branches.begin(), set_node(std::move(set)));
        groups_.back().items.push_back(join(Kind::Alternate, std::move(branches)));
        return;
      }
      if (cls.negated) set.negate();
      unite(set);
      continue;
    }
    if (c == '[') {
      if (more() && text_[at_] == ':') {
        size_t end = text_.find(":]", at_ + 1);
        if (end != std::string_view::npos && end - at_ <= 21 && text_.substr(at_ + 1, end - at_ - 1).find_first_of("[]\\") == std::string_view::npos) {
          std::string_view name = text_.substr(at_ + 1, end - at_ - 1);
          bool negative = name.starts_with("^");
          if (negative) name.remove_prefix(1);
          CharSet set;
          if (!bracket(name, set)) fail("there is no POSIX bracket [:" + std::string(name) + ":]", at);
          if (options_.ascii_posix || (options_.ascii_word && name == "word") || (options_.ascii_digit && name == "digit") ||
              (options_.ascii_space && name == "space"))
            set.intersect(CharSet(0, 127));
          if (negative) set.negate();
          at_ = end + 2;
          unite(set);
          continue;
        }
      }
      begin(at);
      last = open.back().items.empty() ? Nothing : Character;
      from = ']';
      continue;
    }
    if (c == '&' && take("&")) {
      Class& cls = open.back();
      CharSet set = finish_class(cls);
      cls.left = std::move(set);
      cls.items.clear();
      last = Nothing;
      continue;
    }
    if (c == '-' && last != Nothing && more() && text_[at_] != ']') {
      // A range, unless nothing that ends one follows.
      if (last == Set) {
        if (text_[at_] == '[' || text_.substr(at_).starts_with("&&")) {
          open.back().items.push_back({'-', '-'});
          continue;
        }
        open.back().items.push_back({'-', '-'});
        last = Nothing;
        continue;
      }
      size_t mark = at_;
      char32_t to = take();
      if (to == '[' || (to == '&' && text_.substr(at_).starts_with("&"))) {
        // [a-[b]] and [a-&&b]: the dash stands for itself.
        at_ = mark;
        open.back().items.push_back({'-', '-'});
        last = Nothing;
        continue;
      }
      if (to == '\\') {
        if (!more()) fail("the pattern ends at an escape", mark);
        size_t letter_at = at_;
        char32_t letter = take();
        if (letter < 128 && std::string_view("dDsSwWhH").find(char(letter)) != std::string_view::npos)
          fail("a class of characters at the end of a range", mark);
        if ((letter == 'p' || letter == 'P') && more() && text_[at_] == '{') fail("a class of characters at the end of a range", mark);
        (void)letter_at;
        to = letter == 'b' ? 8 : read_code(letter, mark);
      }
      if (to < from) fail("a range of characters that is empty", at);
      open.back().items.back() = {from, to};
      last = Nothing;
      continue;
    }
    if (c == '\\') {
      if (!more()) fail("the pattern ends at an escape", at);
      char32_t letter = take();
      if (letter < 128 && std::string_view("dDsSwWhH").find(char(letter)) != std::string_view::npos) {
        unite(shorthand(char(letter)));
        continue;
      }
      if ((letter == 'p' || letter == 'P') && more() && text_[at_] == '{') {
        unite(read_property(at));
        continue;
      }
      if (letter == 'R' || letter == 'X') fail("\\R and \\X cannot stand in a character class", at);
      c = letter == 'b' ? 8 : read_code(letter, at);
      literal = true;
    }
    (void)literal;
    open.back().items.push_back({c, c});
    from = c;
    last = Character;
  }
  fail("a character class has no ]", open.back().at);
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
        groups_.back().branches.push_back(concatenation(std::move(groups_.back().items)));
        groups_.back().items.clear();
        continue;
      case '(':
        open_group();
        if (groups_.back().node.kind == Kind::Capture && groups_.back().node.value == 0 && groups_.back().at == at) {
          if (named_) groups_.back().node = {};
          else groups_.back().node.value = ++tree_.groups;
        }
        continue;
      case ')': close_group(); continue;
      case '[': read_class(); break;
      case '.': {
        CharSet set(0, kLastCode);
        if (!options_.dot_all) set = CharSet(std::vector<CodeRange>{{0, 9}, {11, kLastCode}});
        groups_.back().items.push_back(set_node(std::move(set)));
        break;
      }
      case '^':
      case '$':
        groups_.back().items.push_back(leaf(Kind::Assert, uint32_t(c == '^' ? Assertion::LineBegin : Assertion::LineEnd)));
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
        groups_.back().items.push_back(character(c));
    }
    read_quantifier(at_);
  }
  while (groups_.back().implied) {
    uint32_t node = finish_group();
    groups_.back().items.push_back(node);
  }
  if (groups_.size() > 1) fail("a ( without its )", groups_.back().at);
  tree_.root = finish_group();

  for (const Pending& reference : references_) {
    Node& node = tree_.nodes[reference.node];
    const std::string& name = reference.name;
    bool number = is_digit((unsigned char)name[0]) || ((name[0] == '-' || name[0] == '+') && name.size() > 1);
    if (number) {
      int64_t wanted = std::strtoll(name.c_str(), nullptr, 10);
      if (wanted < 1 || wanted > tree_.groups) fail("there is no group " + name, reference.at);
      node.children = {uint32_t(wanted)};
    } else {
      auto found = names_.find(name);
      if (found == names_.end()) fail("there is no group named \"" + name + "\"", reference.at);
      node.children = found->second;
    }
  }
  return std::move(tree_);
}

}  // namespace

Tree parse(std::string_view pattern) { return Parser(pattern).run(); }

}  // namespace enfold::regex
