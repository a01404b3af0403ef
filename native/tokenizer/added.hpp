// Tokens that are found in the text before the model sees it.
#pragma once

#include <array>
#include <map>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "text/normalizers.hpp"
#include "text/pretokenizers.hpp"
#include "tokenizer/model.hpp"

namespace enfold {

struct AddedToken {
  std::string content;
  bool single_word = false, lstrip = false, rstrip = false, normalized = true, special = false;
  bool operator==(const AddedToken&) const = default;
};

// A set of strings to find: the longest one that begins at the leftmost place wins.
class Matcher {
 public:
  void clear();
  void add(const std::string& pattern, int32_t id);
  bool empty() const { return patterns_.size() == 0; }
  // The next match at or after `at`; false when there is none. `id` is the value given to add().
  bool next(std::string_view text, size_t at, size_t& begin, size_t& end, int32_t& id) const;

 private:
  Vocab patterns_;                                  // pattern → index into values_
  std::vector<int32_t> values_;
  std::array<std::vector<uint32_t>, 256> lengths_;  // of the patterns that begin with a byte, longest first
  unsigned char only_ = 0;                          // the one byte that patterns begin with, if there is only one
  int firsts_ = 0;
};

class AddedVocabulary {
 public:
  // Adds tokens; the ids are the model's where it knows the token, else the next free ones. Returns how many were new.
  size_t add(const std::vector<AddedToken>& tokens, const Model& model, const Normalizer* normalizer);
  // Rebuilds the matchers, after the normalizer has changed.
  void refresh(const Normalizer* normalizer);

  int32_t id(std::string_view token) const;           // -1: not an added token
  const AddedToken* token(int32_t id) const;          // null: not an added token
  bool is_special(std::string_view token) const { return special_.count(std::string(token)) > 0; }
  bool is_special_id(int32_t id) const {
    const AddedToken* found = token(id);
    return found && is_special(found->content);
  }
  const std::map<int32_t, AddedToken>& by_id() const { return by_id_; }
  size_t count_outside(const Model& model) const;     // tokens that the model does not have
  bool any_raw() const { return !raw_.empty(); }
  bool any_normalized() const { return !normalized_.empty(); }
  const Matcher& raw() const { return raw_; }
  const Matcher& normalized() const { return normalized_; }

  // Cuts `text` at added tokens (pass 1: normalized=False tokens) into `splits`.
  void split_raw(const Text& text, bool keep_special, std::vector<Split>& splits) const { split(text, raw_, keep_special, splits); }
  void split_normalized(const Text& text, bool keep_special, std::vector<Split>& splits) const {
    split(text, normalized_, keep_special, splits);
  }
  // As split_raw, without making texts: calls piece(begin, end, id), id -1 for text.
  template <class Fn>
  void cut(std::string_view text, const Matcher& matcher, bool keep_special, Fn piece) const;

 private:
  void split(const Text& text, const Matcher& matcher, bool keep_special, std::vector<Split>& splits) const;
  std::vector<std::string> order_special_, order_;     // contents, in the order they came
  std::unordered_map<std::string, int32_t> ids_;
  std::unordered_map<std::string, AddedToken> tokens_;  // by content
  std::map<int32_t, AddedToken> by_id_;
  std::unordered_set<std::string> special_;
  Matcher raw_, normalized_;
};

template <class Fn>
void AddedVocabulary::cut(std::string_view text, const Matcher& matcher, bool keep_special, Fn piece) const {
  size_t done = 0, at = 0, begin, end;
  int32_t id;
  while (matcher.next(text, at, begin, end, id)) {
    at = end;
    const AddedToken& token = by_id_.at(id);
    if (keep_special && special_.count(token.content)) continue;
    if (token.single_word) {
      size_t before = begin, after = end;
      if (begin > 0 && (char_flags(utf8_previous(text, before)) & kWord)) continue;
      if (end < text.size() && (char_flags(utf8_next(text, after)) & kWord)) continue;
    }
    if (token.lstrip)
      for (size_t i = begin; i > done && is_white(utf8_previous(text, i));) begin = i;
    if (token.rstrip)
      for (size_t i = end; i < text.size() && is_white(utf8_next(text, i));) end = i;
    if (begin < done) begin = done;
    if (done < begin) piece(done, begin, -1);
    piece(begin, end, id);
    done = end;
  }
  if (done < text.size()) piece(done, text.size(), -1);
}

}  // namespace enfold
