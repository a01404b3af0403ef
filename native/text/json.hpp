// A small JSON reader for tokenizer.json: one pass, strings without escapes stay views into the source.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace enfold {

// An entry of a long list: a key and its number, two strings, a string and a number, or a string alone.
struct JsonRow {
  std::string_view text, value;  // strings decoded, numbers as they are written
};

struct Json {
  enum Kind { Null, False, True, Number, String, Array, Object };
  // What the members named "vocab" and "merges" are kept as when all their entries are alike: a row each, and no items.
  enum Rows { None, Members, Texts, Pairs, Scores };
  // Out of line: a member of its own type in a container needs the whole type (clang 14 insists).
  Json();

  Kind kind = Null;
  Rows form = None;
  double number = 0;
  std::string_view text;      // of a string (decoded); of a number as it is written
  std::string_view source;    // the bytes of this value in the document
  std::vector<Json> items;    // of an array
  std::vector<std::pair<std::string_view, Json>> members;  // of an object, in order
  std::vector<JsonRow> rows;

  const Json* find(std::string_view key) const;
  // The member `key`; a shared null when it is absent.
  const Json& operator[](std::string_view key) const;
  bool is_null() const { return kind == Null; }
  bool boolean(bool otherwise) const { return kind == True || (kind != False && otherwise); }
  // As a whole number; those beyond what fits come out as the largest or smallest.
  int64_t integer(int64_t otherwise) const {
    if (kind != Number) return otherwise;
    return number >= 9.2e18 ? INT64_MAX : number <= -9.2e18 ? INT64_MIN : int64_t(number);
  }
  std::string string(std::string_view otherwise = {}) const { return std::string(kind == String ? text : otherwise); }
};

// A document and the storage of its decoded strings; `source` must outlive it.
struct JsonDocument {
  explicit JsonDocument(std::string_view source);  // throws std::invalid_argument, naming line and column
  Json root;

 private:
  std::unique_ptr<char[]> decoded_;
};

// Appends `text` as a JSON string, quotes included.
void json_quote(std::string_view text, std::string& out);

// The same JSON with an item a line, two blanks a level; `text` is compact, and well-formed.
std::string json_indent(std::string_view text);

}  // namespace enfold
