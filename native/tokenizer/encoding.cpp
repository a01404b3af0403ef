#include "tokenizer/encoding.hpp"

#include <algorithm>
#include <stdexcept>

namespace enfold {

void Encoding::push(int32_t id, int32_t type_id, int32_t word, Span span, bool is_special, Name name) {
  if (name) names.emplace_back(uint32_t(ids.size()), std::move(name));
  ids.push_back(id);
  type_ids.push_back(type_id);
  words.push_back(word);
  offsets.push_back(span);
  special.push_back(is_special);
  attention.push_back(1);
}

std::string Encoding::name(size_t index) const {
  auto at = std::lower_bound(names.begin(), names.end(), index, [](const auto& item, size_t i) { return item.first < i; });
  if (at != names.end() && at->first == index) return *at->second;
  return model ? std::string(model->vocab.token(ids[index])) : std::string();
}

std::vector<std::string> Encoding::tokens() const {
  std::vector<std::string> made;
  made.reserve(ids.size());
  auto at = names.begin();
  for (size_t i = 0; i < ids.size(); ++i) {
    if (at != names.end() && at->first == i) made.push_back(*(at++)->second);
    else made.emplace_back(model ? model->vocab.token(ids[i]) : std::string_view());
  }
  return made;
}

std::pair<size_t, size_t> Encoding::range(size_t sequence) const {
  auto found = sequences.find(sequence);
  return found == sequences.end() ? std::pair<size_t, size_t>(0, size()) : found->second;
}

std::optional<size_t> Encoding::token_to_sequence(size_t token) const {
  if (token >= size()) return {};
  if (sequences.empty()) return 0;
  for (const auto& [sequence, range] : sequences)
    if (token >= range.first && token < range.second) return sequence;
  return {};
}

std::optional<size_t> Encoding::char_to_token(size_t position, size_t sequence) const {
  auto [begin, end] = range(sequence);
  for (size_t i = begin; i < std::min(end, offsets.size()); ++i)
    if (position >= offsets[i].begin && position < offsets[i].end) return i;
  return {};
}

std::optional<std::pair<size_t, size_t>> Encoding::word_to_tokens(int32_t word, size_t sequence) const {
  auto [begin, end] = range(sequence);
  std::optional<std::pair<size_t, size_t>> found;
  for (size_t i = begin; i < std::min(end, words.size()); ++i) {
    if (words[i] == kNoWord || words[i] < word) continue;
    if (words[i] > word) break;
    if (!found) found = {i, i + 1};
    found->second = i + 1;
  }
  return found;
}

void Encoding::append(const Encoding& other, bool growing_offsets) {
  size_t before = size();
  uint32_t shift = growing_offsets && !offsets.empty() ? offsets.back().end : 0;
  for (const auto& [sequence, range] : other.sequences) sequences[sequence] = {before + range.first, before + range.second};
  auto extend = [](auto& to, const auto& from) { to.insert(to.end(), from.begin(), from.end()); };
  extend(ids, other.ids);
  extend(type_ids, other.type_ids);
  extend(words, other.words);
  extend(special, other.special);
  extend(attention, other.attention);
  offsets.reserve(offsets.size() + other.offsets.size());
  for (Span span : other.offsets) offsets.push_back({span.begin + shift, span.end + shift});
  for (const auto& [index, name] : other.names) names.emplace_back(uint32_t(before + index), name);
  if (!model) model = other.model;
}

void Encoding::merge(const Encoding& other, bool growing_offsets) {
  std::vector<Encoding> parts;
  for (const Encoding& mine : overflowing) {
    parts.push_back(mine);
    parts.back().merge(other, growing_offsets);
    for (const Encoding& theirs : other.overflowing) {
      parts.push_back(mine);
      parts.back().merge(theirs, growing_offsets);
    }
  }
  for (const Encoding& theirs : other.overflowing) {
    parts.push_back(*this);
    parts.back().merge(theirs, growing_offsets);
  }
  append(other, growing_offsets);
  overflowing = std::move(parts);
}

Encoding Encoding::part(size_t begin, size_t end) const {
  Encoding made;
  auto cut = [&](auto& to, const auto& from) { to.assign(from.begin() + begin, from.begin() + end); };
  cut(made.ids, ids);
  cut(made.type_ids, type_ids);
  cut(made.words, words);
  cut(made.offsets, offsets);
  cut(made.special, special);
  cut(made.attention, attention);
  for (const auto& [index, name] : names)
    if (index >= begin && index < end) made.names.emplace_back(uint32_t(index - begin), name);
  made.model = model;
  return made;
}

void Encoding::truncate(size_t max_length, size_t stride, bool left) {
  size_t length = size();
  if (max_length >= length) return;
  if (max_length == 0) {
    Encoding all = std::move(*this);
    *this = Encoding();
    model = all.model;
    overflowing.push_back(std::move(all));
    return;
  }
  if (stride >= max_length)
    throw std::invalid_argument("`stride` must be strictly less than `max_len=" + std::to_string(max_length) +
                                "` (note that `max_len` may be shorter than the max length of the original model, as it subtracts the number "
                                "of special characters)");
  size_t step = max_length - stride;
  std::vector<Encoding> parts;
  if (left) {
    for (size_t stop = length;; stop -= step) {
      size_t start = stop > max_length ? stop - max_length : 0;
      parts.push_back(part(start, stop));
      if (start == 0 || stop <= step) break;
    }
  } else {
    for (size_t start = 0;; start += step) {
      size_t stop = std::min(start + max_length, length);
      parts.push_back(part(start, stop));
      if (stop == length) break;
    }
  }
  Encoding first = std::move(parts.front());
  parts.erase(parts.begin());
  *this = std::move(first);
  overflowing = std::move(parts);
}

void Encoding::pad(size_t length, int32_t id, int32_t type_id, const Name& token, bool left) {
  for (Encoding& part : overflowing) part.pad(length, id, type_id, token, left);
  if (size() >= length) return;
  size_t count = length - size(), before = size();
  auto fill = [&](auto& values, auto value) { values.insert(left ? values.begin() : values.end(), count, value); };
  fill(ids, id);
  fill(type_ids, type_id);
  fill(words, kNoWord);
  fill(offsets, Span{});
  fill(special, uint8_t(1));
  fill(attention, uint8_t(0));
  std::vector<std::pair<uint32_t, Name>> padding;
  for (size_t i = 0; i < count; ++i) padding.emplace_back(uint32_t(left ? i : before + i), token);
  if (left) {
    for (auto& [index, name] : names) index += uint32_t(count);
    for (auto& [sequence, range] : sequences) range = {range.first + count, range.second + count};
    names.insert(names.begin(), padding.begin(), padding.end());
  } else {
    names.insert(names.end(), padding.begin(), padding.end());
  }
}

std::pair<size_t, size_t> longest_first(size_t first, size_t second, size_t max_length) {
  size_t small = std::min(first, second), large = std::max(first, second);
  large = small > max_length ? small : std::max(small, max_length - small);
  if (small + large > max_length) {
    small = max_length / 2;
    large = small + max_length % 2;
  }
  return first > second ? std::pair(large, small) : std::pair(small, large);
}

void truncate(Encoding& first, Encoding* second, const Truncation& truncation) {
  auto cut = [&](Encoding& encoding, size_t length) { encoding.truncate(length, truncation.stride, truncation.left); };
  if (truncation.max_length == 0) {
    cut(first, 0);
    if (second) cut(*second, 0);
    return;
  }
  size_t total = first.size() + (second ? second->size() : 0);
  if (total <= truncation.max_length) return;
  if (truncation.strategy == Truncation::LongestFirst) {
    if (!second) return cut(first, truncation.max_length);
    auto [a, b] = longest_first(first.size(), second->size(), truncation.max_length);
    cut(first, a);
    cut(*second, b);
    return;
  }
  if (truncation.strategy == Truncation::OnlySecond && !second) throw std::runtime_error("Truncation error: Second sequence not provided");
  Encoding& target = truncation.strategy == Truncation::OnlyFirst ? first : *second;
  size_t excess = total - truncation.max_length;
  if (target.size() <= excess)
    throw std::runtime_error("Truncation error: Sequence to truncate too short to respect the provided max_length");
  cut(target, target.size() - excess);
}

size_t padded_length(size_t longest, const Padding& padding) {
  size_t length = padding.length.value_or(longest), multiple = padding.multiple.value_or(0);
  return multiple && length % multiple ? length + multiple - length % multiple : length;
}

void pad(std::vector<Encoding*>& encodings, const Padding& padding) {
  size_t longest = 0;
  for (const Encoding* encoding : encodings) longest = std::max(longest, encoding->size());
  size_t length = padded_length(longest, padding);
  Name token = std::make_shared<const std::string>(padding.token);
  for (Encoding* encoding : encodings) encoding->pad(length, padding.id, padding.type_id, token, padding.left);
}

}  // namespace enfold
