#include "tokenizer/train/symbols.hpp"

#include <algorithm>
#include <tuple>
#include <unordered_map>

#include "tokenizer/train/pairs.hpp"

namespace enfold {

Symbols::Symbols(const BpeOptions& options) : options_(options) {
  for (const std::string& token : options.special_tokens) intern(token);
}

uint32_t Symbols::intern(std::string_view token) {
  int32_t known = vocab.find(token);
  if (known >= 0) return uint32_t(known);
  uint32_t id = uint32_t(vocab.size());
  vocab.add(token, id);
  lengths.push_back(1);
  return id;
}

void Symbols::add_alphabet(const std::vector<const std::vector<WordCount>*>& lists) {
  ByCode<uint64_t> seen;
  for (const auto* words : lists)
    for (const WordCount& word : *words)
      for (size_t at = 0; at < word.word.size();) seen[utf8_next(word.word, at)] += word.count;
  for (char32_t code : options_.initial_alphabet) seen[code] = UINT64_MAX;
  std::vector<char32_t> kept;
  seen.each([&](char32_t code, uint64_t count) {
    if (count) kept.push_back(code);
  });
  if (options_.limit_alphabet && kept.size() > *options_.limit_alphabet) {
    std::stable_sort(kept.begin(), kept.end(), [&](char32_t a, char32_t b) { return seen[a] > seen[b]; });
    kept.resize(*options_.limit_alphabet);
    std::sort(kept.begin(), kept.end());
  }
  for (char32_t code : kept) {
    std::string token;
    utf8_append(code, token);
    intern(token);
  }
}

void Symbols::give_ids(ByCode<Ids>& seen, bool adding) {
  // The variants get their ids in the order of the characters, whichever word comes first. Characters outside the
  // alphabet are told apart before any is added.
  std::vector<std::tuple<std::string, uint32_t*>> symbols;
  seen.each([&](char32_t code, Ids& found) {
    std::string character;
    utf8_append(code, character);
    bool known = vocab.find(character) >= 0;
    for (size_t i = 0; i < 4; ++i) {
      bool used = found.variant[i];
      found.variant[i] = kNone;
      if (!used || !known) continue;
      symbols.emplace_back((i & 1 ? *options_.prefix : "") + character + (i & 2 ? *options_.suffix : ""), &found.variant[i]);
    }
  });
  for (auto& [symbol, id] : symbols) *id = adding ? intern(symbol) : uint32_t(vocab.find(symbol));
}

uint32_t Symbols::join(uint32_t left, uint32_t right) {
  std::string token(vocab.token(left));
  std::string_view tail = vocab.token(right);
  if (options_.prefix && tail.starts_with(*options_.prefix)) tail.remove_prefix(options_.prefix->size());
  token += tail;
  uint32_t made = intern(token);
  lengths[made] = lengths[left] + lengths[right];
  return made;
}

std::vector<std::pair<uint32_t, uint32_t>> last_of_each(const std::vector<std::pair<uint32_t, uint32_t>>& merges) {
  std::unordered_map<uint64_t, size_t> last;
  last.reserve(merges.size());
  for (size_t i = 0; i < merges.size(); ++i) last[PairCounts::key(merges[i].first, merges[i].second)] = i;
  std::vector<std::pair<uint32_t, uint32_t>> kept;
  kept.reserve(last.size());
  for (size_t i = 0; i < merges.size(); ++i)
    if (last[PairCounts::key(merges[i].first, merges[i].second)] == i) kept.push_back(merges[i]);
  return kept;
}

}  // namespace enfold
