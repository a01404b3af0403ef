// Classes of characters: \d, \p{…} and what stands in brackets.
#include "text/regex/parser.hpp"

namespace enfold::regex {

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
              if (set.contains(folding.code)) branches.push_back(build_.spelled(folding.folded));
          set.close_over_case();
        }
        if (cls.negated) set.negate();
        branches.insert(branches.begin(), build_.set_node(std::move(set)));
        groups_.back().items.push_back(build_.join(Kind::Alternate, std::move(branches)));
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

}  // namespace enfold::regex
