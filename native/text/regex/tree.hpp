// Puts the tree of a regular expression together, and knows of every node what it can match.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "text/regex/syntax.hpp"

namespace enfold::regex {

class TreeBuilder {
 public:
  uint32_t add(Node node);
  uint32_t leaf(Kind kind, uint32_t value = 0);
  uint32_t wrap(Kind kind, uint32_t child);
  uint32_t set_node(CharSet set);
  uint32_t character(char32_t code);
  uint32_t spelled(std::u32string_view word);
  uint32_t join(Kind kind, std::vector<uint32_t> children);
  uint32_t concatenation(std::vector<uint32_t> items);
  uint32_t alternation(std::vector<uint32_t> branches);

  Tree tree;
  bool fold = false;  // case is ignored in what is added

 private:
  void measure(Node& node);

  std::map<std::u32string, uint32_t> known_sets_;
};

}  // namespace enfold::regex
