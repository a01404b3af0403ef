// Groups: what opens, what closes, and what a group becomes.
#include "text/regex/parser.hpp"

namespace enfold::regex {

void Parser::open(Node node, size_t at, bool implied) {
  if (groups_.size() >= kDeepest) fail("groups are nested more than " + std::to_string(kDeepest) + " deep", at);
  Group group{at, std::move(node), options_, implied, {}, {}};
  groups_.push_back(std::move(group));
}

// What the innermost group has become; the group is gone.
uint32_t Parser::finish_group() {
  Group group = std::move(groups_.back());
  groups_.pop_back();
  group.branches.push_back(build_.concatenation(std::move(group.items)));
  std::vector<uint32_t> children = finish_branches(group);
  set_options(group.before);
  if (group.node.kind == Kind::Empty) return children[0];
  group.node.children = std::move(children);
  return build_.add(std::move(group.node));
}

// The children of the node that a group becomes.
std::vector<uint32_t> Parser::finish_branches(Group& group) {
  std::vector<uint32_t>& branches = group.branches;
  if (group.role == Group::Absent && group.node.kind == Kind::Empty) {
    // (?~x) takes characters at which x does not begin, as many as it can.
    Node look, rest;
    look.kind = Kind::Look;
    look.negative = true;
    look.children = {build_.alternation(std::move(branches))};
    uint32_t none = build_.add(std::move(look)), any = build_.set_node(CharSet(0, kLastCode));
    rest.kind = Kind::Repeat;
    rest.max = kNoLimit;
    rest.children = {build_.join(Kind::Concat, {none, any})};
    return {build_.add(std::move(rest))};
  }
  if (group.role == Group::Absent) {
    if (branches.size() < 2) fail("absent stoppers (?~|…) are not supported", group.at);
    uint32_t absent = branches[0];
    branches.erase(branches.begin());
    return {absent, build_.alternation(std::move(branches))};
  }
  if (group.role != Group::If) return {build_.alternation(std::move(branches))};
  uint32_t then = branches[0], otherwise;
  bool checks = branches.size() == 1 && build_.tree.nodes[then].kind == Kind::Empty;  // (?(1)) fails where 1 has not matched
  branches.erase(branches.begin());
  if (!branches.empty()) otherwise = build_.alternation(std::move(branches));
  else otherwise = build_.leaf(checks ? Kind::Fail : Kind::Empty);
  return {build_.join(Kind::Alternate, {build_.join(Kind::Concat, {group.holds, then}), build_.join(Kind::Concat, {group.fails, otherwise})})};
}

void Parser::close_group() {
  size_t at = at_ - 1;
  while (groups_.back().implied) {
    uint32_t node = finish_group();
    groups_.back().items.push_back(node);
  }
  if (groups_.size() == 1) fail("a ) without its (", at);
  bool condition = groups_.back().role == Group::Condition;
  uint32_t node = finish_group();
  if (condition) {
    groups_.back().holds = build_.wrap(Kind::Atomic, node);
    Node look;
    look.kind = Kind::Look;
    look.negative = true;
    look.children = {node};
    groups_.back().fails = build_.add(std::move(look));
    return;
  }
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
      case 'y':  // text segments: {g} for characters as they are seen, which they are anyway
        if (!take("{g}")) fail("of text segments only (?y{g}) is supported", at);
        break;
      case 'P': made.ascii_posix = made.ascii_word = made.ascii_digit = made.ascii_space = on; break;
      case '-': on = false; break;
      case ':':
      case ')':
        open({}, at, c == ')');
        set_options(made);
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

// (*FAIL) and (*MISMATCH); the other callouts are for programs that count and compare.
void Parser::read_callout(size_t at) {
  size_t end = text_.find(')', at_);
  std::string name(text_.substr(at_, end == std::string_view::npos ? end : end - at_));
  if (end == std::string_view::npos || (name != "FAIL" && name != "MISMATCH"))
    fail("the callout (*" + name + ") is not supported; there are (*FAIL) and (*MISMATCH)", at);
  at_ = end + 1;
  groups_.back().items.push_back(build_.leaf(Kind::Fail));
  read_quantifier(at_);
}

// (?(1)yes|no), (?(<name>)yes|no) and (?(expression)yes|no) behind the second parenthesis.
void Parser::open_condition(size_t at) {
  size_t from = at_;
  std::string name;
  if (take("<") || take("'")) {
    name = read_name(text_[at_ - 1] == '<' ? '>' : '\'', at);
  } else {
    if (!take("-")) take("+");
    while (more() && is_digit((unsigned char)text_[at_])) ++at_;
    name = text_.substr(from, at_ - from);
  }
  bool group = !name.empty() && take(")");
  open({}, at);
  groups_.back().role = Group::If;
  if (!group) {
    at_ = from;
    open({}, at);
    groups_.back().role = Group::Condition;
    return;
  }
  for (bool negative : {false, true}) {
    Node node;
    node.kind = Kind::GroupSet;
    node.negative = negative;
    uint32_t made = build_.add(std::move(node));
    (negative ? groups_.back().fails : groups_.back().holds) = made;
    refer(made, name, at);
  }
}

void Parser::open_group() {
  size_t at = at_ - 1;
  Node node;
  if (!take("?")) {
    if (take("*")) return read_callout(at);
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
    node.value = ++build_.tree.groups;
    names_[name].push_back(node.value);
    return open(std::move(node), at);
  }
  if (take("~")) {
    if (take("|")) node.kind = Kind::Absent;
    open(std::move(node), at);
    groups_.back().role = Group::Absent;
    return;
  }
  if (take("(")) return open_condition(at);
  if (take("{")) fail("callouts (?{…}) are not supported", at);
  read_options(at);
}

}  // namespace enfold::regex
