#include "tokenizer/added.hpp"

#include <algorithm>
#include <cstring>

namespace enfold {

void Matcher::clear() { *this = Matcher(); }

void Matcher::add(const std::string& pattern, int32_t id) {
  if (pattern.empty() || patterns_.find(pattern) >= 0) return;
  patterns_.add(pattern, uint32_t(values_.size()));
  values_.push_back(id);
  auto& lengths = lengths_[(unsigned char)pattern[0]];
  if (lengths.empty()) {
    ++firsts_;
    only_ = (unsigned char)pattern[0];
  }
  if (std::find(lengths.begin(), lengths.end(), pattern.size()) == lengths.end()) lengths.push_back(uint32_t(pattern.size()));
  std::sort(lengths.rbegin(), lengths.rend());
}

bool Matcher::next(std::string_view text, size_t at, size_t& begin, size_t& end, int32_t& id) const {
  if (firsts_ == 0) return false;
  for (; at < text.size(); ++at) {
    if (firsts_ == 1) {
      const void* hit = std::memchr(text.data() + at, only_, text.size() - at);
      if (!hit) return false;
      at = size_t(static_cast<const char*>(hit) - text.data());
    }
    for (uint32_t length : lengths_[(unsigned char)text[at]]) {
      if (length > text.size() - at) continue;
      int32_t found = patterns_.find(text.substr(at, length));
      if (found < 0) continue;
      begin = at;
      end = at + length;
      id = values_[found];
      return true;
    }
  }
  return false;
}

size_t AddedVocabulary::add(const std::vector<AddedToken>& tokens, const Model& model, const Normalizer* normalizer) {
  size_t added = 0;
  for (const AddedToken& token : tokens)
    if (token.special && !token.content.empty() && special_.insert(token.content).second) order_special_.push_back(token.content);
  for (const AddedToken& token : tokens) {
    if (token.content.empty()) continue;
    if (auto old = tokens_.find(token.content); old != tokens_.end() && old->second == token) continue;
    int32_t id = this->id(token.content);
    if (id < 0) id = model.vocab.find(token.content);
    if (id < 0) {
      int32_t size = int32_t(model.vocab.size()), most = by_id_.empty() ? -1 : by_id_.rbegin()->first;
      id = most >= size || (size == 0 && most >= 0) ? most + 1 : size;
    }
    ids_[token.content] = id;
    by_id_[id] = token;
    if (!tokens_.count(token.content) && !special_.count(token.content)) order_.push_back(token.content);
    tokens_[token.content] = token;
    ++added;
  }
  refresh(normalizer);
  return added;
}

void AddedVocabulary::refresh(const Normalizer* normalizer) {
  raw_.clear();
  normalized_.clear();
  auto enter = [&](const std::string& content) {
    const AddedToken& token = tokens_.at(content);
    if (!token.normalized) return raw_.add(content, ids_.at(content));
    Text text = Text::from(content, false);
    if (normalizer) normalizer->run(text);
    normalized_.add(text.bytes, ids_.at(content));
  };
  for (const auto& content : order_special_)
    if (tokens_.count(content)) enter(content);
  for (const auto& content : order_)
    if (!special_.count(content)) enter(content);
}

int32_t AddedVocabulary::id(std::string_view token) const {
  auto found = ids_.find(std::string(token));
  return found == ids_.end() ? -1 : found->second;
}

const AddedToken* AddedVocabulary::token(int32_t id) const {
  auto found = by_id_.find(id);
  return found == by_id_.end() ? nullptr : &found->second;
}

size_t AddedVocabulary::count_outside(const Model& model) const {
  size_t count = 0;
  for (const auto& [content, id] : ids_) count += model.vocab.find(content) < 0;
  return count;
}

void AddedVocabulary::split(const Text& text, const Matcher& matcher, bool keep_special, std::vector<Split>& splits) const {
  cut(text.bytes, matcher, keep_special, [&](size_t begin, size_t end, int32_t id) {
    if (begin == 0 && end == text.bytes.size()) splits.push_back({text, id});
    else splits.push_back({text.slice(begin, end), id});
  });
}

}  // namespace enfold
