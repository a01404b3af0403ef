// Reads a pattern from left to right. Deep patterns need no deep stack: groups that are open are kept in a list.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "text/regex/tree.hpp"
#include "text/utf8.hpp"

namespace enfold::regex {

inline constexpr size_t kDeepest = 4096;  // groups or classes within each other, as Oniguruma has it

inline bool is_digit(char32_t c) { return c >= '0' && c <= '9'; }

struct Options {
  bool fold = false, dot_all = false, extended = false;
  bool ascii_word = false, ascii_digit = false, ascii_space = false, ascii_posix = false;
};

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
    enum { Plain, If, Condition, Absent } role = Plain;
    uint32_t holds = 0, fails = 0;  // of an If: the nodes that ask for its condition
  };
  struct Class {
    size_t at;
    bool negated = false;
    std::vector<CodeRange> items;
    std::optional<CharSet> left;  // what stands before &&
  };

  [[noreturn]] void fail(const std::string& what, size_t at) const;
  bool more() const { return at_ < text_.size(); }
  char32_t take() { return utf8_next(text_, at_); }
  bool take(std::string_view word) {
    if (!text_.substr(at_).starts_with(word)) return false;
    at_ += word.size();
    return true;
  }
  void set_options(const Options& options) {
    options_ = options;
    build_.fold = options.fold;
  }

  // groups.cpp
  void open_group();
  void close_group();
  void open(Node node, size_t at, bool implied = false);
  void open_condition(size_t at);
  void read_callout(size_t at);
  uint32_t finish_group();
  std::vector<uint32_t> finish_branches(Group& group);
  bool read_options(size_t at);
  std::string read_name(char close, size_t at);
  // escapes.cpp
  void read_escape();
  void refer(uint32_t node, const std::string& name, size_t at);
  void back_reference(const std::string& name, size_t at);
  char32_t read_code(char32_t letter, size_t at);
  // classes.cpp
  void read_class();
  CharSet finish_class(Class& cls) const;
  CharSet read_property(size_t at);
  CharSet shorthand(char letter) const;
  // parser.cpp
  void read_quantifier(size_t target_at);
  bool read_interval(uint32_t& min, uint32_t& max, bool& possessive);
  void repeat(uint32_t min, uint32_t max, Mode mode, size_t at);
  std::optional<uint32_t> read_number();
  void resolve_references();

  std::string_view text_;
  size_t at_ = 0;
  TreeBuilder build_;
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
};

}  // namespace enfold::regex
