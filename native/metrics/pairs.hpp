// Texts and the texts they are held against, as numbered tokens.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace enfold::metrics {

using Tokens = std::span<const int32_t>;

// The tokens of many texts behind each other.
struct Texts {
  std::vector<int32_t> ids;
  std::vector<size_t> ends;       // of each text, in ids
  std::vector<size_t> line_ends;  // of each line of any text, in ids
  std::vector<size_t> lines;      // the number of lines up to the end of each text

  size_t size() const { return ends.size(); }
  Tokens operator[](size_t text) const {
    size_t begin = text ? ends[text - 1] : 0;
    return {ids.data() + begin, ends[text] - begin};
  }
  // The lines of a text, each with its tokens.
  void split(size_t text, std::vector<Tokens>& out) const;
};

// The token that ends a line in a text that was cut elsewhere.
inline constexpr std::string_view line_mark{"\0\n", 2};

// How a text is cut.
enum class Cut {
  characters,    // code points
  space,         // between any white space
  spaces,        // between spaces and runs of at least two characters of white space, as jiwer does
  alphanumeric,  // runs of a-z and 0-9, ASCII capitals lowered
};

// Gives the pieces of a word that come to stand for it; called once for each distinct word.
using Pieces = std::function<std::vector<std::string>(std::string_view)>;

// Cuts texts and numbers their tokens, the same number for the same token.
class Reader {
 public:
  Reader(Cut cut, Pieces pieces) : cut_(cut), pieces_(std::move(pieces)) {}
  void read(std::string_view text, Texts& out);
  // A text that was cut elsewhere.
  void read(const std::vector<std::string_view>& tokens, Texts& out);

 private:
  struct Word {
    std::string_view text;
    uint64_t hash;
    int32_t id;                   // or -1 for a word in pieces
    std::vector<int32_t> pieces;
  };
  void put(std::string_view word, Texts& out);
  Word& word(std::string_view text, bool whole);
  void end_line(Texts& out) { out.line_ends.push_back(out.ids.size()); }
  void end_text(Texts& out);

  Cut cut_;
  Pieces pieces_;
  std::vector<Word> words_;
  std::vector<uint32_t> table_ = std::vector<uint32_t>(1 << 12);  // number of a word + 1, 0 for none
  std::unordered_map<std::string, int32_t> piece_ids_;
  std::string lowered_;
  std::deque<std::string> kept_;  // never moved: words are views into them
  int32_t next_ = 0;
};

// Each said text has the right texts [first[i], first[i + 1]).
struct Pairs {
  Texts said, right;
  std::vector<size_t> first;

  size_t size() const { return said.size(); }
  // Calls job(begin, end) for ranges of said texts, on several threads.
  void each(const std::function<void(size_t, size_t)>& job) const;
};

}  // namespace enfold::metrics
