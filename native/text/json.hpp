// A small JSON reader for tokenizer.json: one pass, strings without escapes stay views into the source.
#pragma once

#include <deque>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace enfold {

struct Json {
  enum Kind { Null, False, True, Number, String, Array, Object };
  Kind kind = Null;
  double number = 0;
  std::string_view text;      // of a string (decoded); of a number as it is written
  std::string_view source;    // the bytes of this value in the document
  std::vector<Json> items;    // of an array
  std::vector<std::pair<std::string_view, Json>> members;  // of an object, in order

  const Json* find(std::string_view key) const;
  // The member `key`; a shared null when it is absent.
  const Json& operator[](std::string_view key) const;
  bool is_null() const { return kind == Null; }
  bool boolean(bool otherwise) const { return kind == True || (kind != False && otherwise); }
  int64_t integer(int64_t otherwise) const { return kind == Number ? int64_t(number) : otherwise; }
  std::string string(std::string_view otherwise = {}) const { return std::string(kind == String ? text : otherwise); }
};

// A document and the storage of its decoded strings; `source` must outlive it.
struct JsonDocument {
  explicit JsonDocument(std::string_view source);  // throws std::invalid_argument, naming line and column
  Json root;

 private:
  std::deque<std::string> decoded_;
};

// Appends `text` as a JSON string, quotes included.
void json_quote(std::string_view text, std::string& out);

}  // namespace enfold
