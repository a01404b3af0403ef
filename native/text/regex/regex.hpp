// Regular expressions over UTF-8 in the syntax of Oniguruma, as `tokenizers` uses it.
//
// A backtracking matcher with an explicit stack. Where a pattern has neither back-references nor counted groups, places
// that failed are remembered once a text proves hard, which makes the time linear in pattern times text (Davis, Servant
// and Lee, "Using Selective Memoization to Defeat Regular Expression Denial of Service", 2021). All others are given a
// number of steps; beyond it they throw.
#pragma once

#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>

namespace enfold::regex {

struct Program;
struct Workspace;

// A regular expression that cannot be compiled; the message names the place.
struct SyntaxError : std::invalid_argument {
  using std::invalid_argument::invalid_argument;
};

// A match that took more steps or memory than a text of its length is worth.
struct TooHard : std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct Match {
  size_t begin, end;
};

class Regex {
 public:
  // Throws SyntaxError (an std::invalid_argument) that names the place.
  explicit Regex(std::string_view pattern);
  const Program& program() const { return *program_; }
  const std::string& pattern() const { return pattern_; }

 private:
  std::string pattern_;
  std::shared_ptr<const Program> program_;
};

// The matches of an expression in one text, from the left, none overlapping. No empty match directly follows another.
// Both arguments must outlive it.
class Matches {
 public:
  Matches(const Regex& regex, std::string_view text);
  ~Matches();
  Matches(const Matches&) = delete;
  Matches& operator=(const Matches&) = delete;
  // False when there are no more. Throws TooHard.
  bool next(Match& match);

 private:
  bool search(size_t from, Match& match);
  bool match_at(size_t start, size_t from, Match& match);
  const Program& program_;
  const std::string& pattern_;
  std::string_view text_;
  size_t from_ = 0;
  size_t last_end_ = size_t(-1);  // of the last match
  std::unique_ptr<Workspace> work_;
};

}  // namespace enfold::regex
