// Byte-pair encoding, exact in the order of merges: lowest rank first, leftmost among equals.
// Sennrich, Haddow and Birch (2016), https://arxiv.org/abs/1508.07909.
#include <algorithm>
#include <iterator>
#include <mutex>
#include <queue>
#include <random>
#include <stdexcept>
#include <tuple>

#include "text/normalizers.hpp"
#include "text/utf8.hpp"
#include "tokenizer/bpe_search.hpp"
#include "tokenizer/model.hpp"
#include "tokenizer/once.hpp"
#include "tokenizer/seams.hpp"

namespace enfold {
namespace {

// Above this many symbols a heap is faster than looking for the best pair again after each merge.
constexpr size_t kFew = 24, kFewBytes = 32;
constexpr uint64_t kNoMerge = ~uint64_t(0);

// A search pays for itself after this many bytes of words that it is better at: those with bytes above ASCII, or longer.
constexpr size_t kSearchAfter = 512 << 10, kSearchLong = 24, kSearchHigh = 16;

bool has_high(std::string_view word) {
  return std::any_of(word.begin(), word.end(), [](char c) { return (unsigned char)c >= 0x80; });
}

}  // namespace

bool bytes_of_visible(std::string_view token, std::string& raw) {
  raw.clear();
  for (size_t at = 0; at < token.size();) {
    int byte = char_byte(utf8_next(token, at));
    if (byte < 0) return false;
    raw.push_back(char(byte));
  }
  return true;
}

struct Bpe::Search {
  std::atomic<size_t> bytes{0};
  std::once_flag once;
  std::unique_ptr<BpeSearch> made;
  Once<Seams> seams;
};

Bpe::Bpe() : search_(std::make_shared<Search>()) {}

// The search, or null while there has been too little text for it; `bytes` more have come.
const BpeSearch* Bpe::search(size_t bytes) const {
  size_t before = search_->bytes.load(std::memory_order_relaxed);
  if (before < kSearchAfter) {
    search_->bytes.store(before + bytes, std::memory_order_relaxed);
    if (before + bytes < kSearchAfter) return nullptr;  // one word may be long enough by itself
  }
  std::call_once(search_->once, [&] { search_->made = std::make_unique<BpeSearch>(*this); });
  return search_->made.get();
}

const Seams& Bpe::seams() const {
  return search_->seams.get([&] { return Seams(*this); });
}

std::string byte_token(int byte) {
  static const char* hex = "0123456789ABCDEF";
  return std::string("<0x") + hex[byte >> 4] + hex[byte & 15] + ">";
}

void add_merges(Bpe& model, const std::vector<std::pair<std::string_view, std::string_view>>& pairs) {
  constexpr size_t kBlock = 16;
  std::string_view words[2 * kBlock];
  int32_t ids[2 * kBlock];
  model.merges.reserve(model.merges.size() + pairs.size());
  for (size_t begin = 0; begin < pairs.size(); begin += kBlock) {
    size_t count = std::min(kBlock, pairs.size() - begin);
    for (size_t i = 0; i < count; ++i) std::tie(words[2 * i], words[2 * i + 1]) = pairs[begin + i];
    model.vocab.find_many(words, 2 * count, ids);
    for (size_t i = 0; i < 2 * count; ++i)
      if (ids[i] < 0) throw std::invalid_argument("Token `" + std::string(words[i]) + "` out of vocabulary");
    for (size_t i = 0; i < count; ++i) model.merges.emplace_back(uint32_t(ids[2 * i]), uint32_t(ids[2 * i + 1]));
  }
}

void Bpe::prepare() {
  search_ = std::make_shared<Search>();
  table_ = MergeTable();
  table_.reserve(merges.size());
  junctions_.assign(65536, false);
  size_t cut = prefix ? prefix->size() : 0;
  std::vector<std::string_view> tokens;
  size_t count = 0;
  vocab.each([&](std::string_view token, uint32_t id) {
    tokens.resize(id + 1);
    tokens[id] = token;
    ++count;
  });
  bool distinct = count == vocab.size();  // no two tokens of one id, no token of two
  std::string joined;
  std::vector<bool> taken(tokens.size());
  in_order_ = true;
  uint32_t expected = 0;  // most vocabularies have what merges give one after the other
  for (uint32_t rank = 0; rank < merges.size(); ++rank) {
    auto [left, right] = merges[rank];
    std::string_view head = tokens[left], tail = tokens[right], rest = tail.substr(std::min(cut, tail.size()));
    std::string_view guess = distinct && expected < tokens.size() ? tokens[expected] : std::string_view();
    if (guess.empty() || guess.size() != head.size() + rest.size() || !guess.starts_with(head) || !guess.ends_with(rest)) {
      joined.assign(head).append(rest);
      int32_t id = vocab.find(joined);
      if (id < 0) throw std::invalid_argument("Token `" + joined + "` out of vocabulary");
      expected = uint32_t(id);
    }
    in_order_ = in_order_ && !taken[expected];
    taken[left] = taken[right] = true;
    table_.add(left, right, {rank, expected++});
    if (!head.empty() && !tail.empty()) junctions_[size_t((unsigned char)head.back()) << 8 | (unsigned char)tail[0]] = true;
  }
  // Files of transformers say "" where they mean none.
  plain_ = (!prefix || prefix->empty()) && (!suffix || suffix->empty());
  byte_level_ = plain_ && deterministic();
  for (int byte = 0; byte < 256; ++byte) {
    fallback_[byte] = vocab.find(byte_token(byte));
    std::string visible;
    utf8_append(byte_char((unsigned char)byte), visible);
    byte_tokens_[byte] = vocab.find(visible);
    if (byte_tokens_[byte] < 0) byte_level_ = false;
  }
  takes_bytes_ = byte_level_ || (plain_ && deterministic() && !unk_token && !byte_fallback);
  byte_pairs_.clear();
  if (takes_bytes_) {
    byte_pairs_.resize(65536);
    for (size_t pair = 0; pair < 65536; ++pair) {
      int32_t left = byte_tokens_[pair >> 8], right = byte_tokens_[pair & 255];
      const MergeTable::Merge* merge = left < 0 || right < 0 ? nullptr : table_.find(uint32_t(left), uint32_t(right));
      byte_pairs_[pair] = merge ? uint64_t(merge->rank) << 32 | merge->id : ~uint64_t(0);
    }
  }
  byte_lengths_.clear();
  if (byte_level_) {
    vocab.each([&](std::string_view token, uint32_t id) {
      byte_lengths_.resize(id + 1);
      byte_lengths_[id] = uint32_t(utf8_length(token));
    });
  }
  raw_ = Vocab();
  if (takes_bytes_ && ignore_merges) {
    std::string raw;
    vocab.each([&](std::string_view token, uint32_t id) {
      if (bytes_of_visible(token, raw)) raw_.add(raw, id);
    });
  }
}

bool Bpe::cuts_before(std::string_view mark) const {
  if (mark.empty() || !plain_ || !deterministic() || ignore_merges) return false;
  if (vocab.find(mark) < 0) return false;
  bool clean = true;
  vocab.each([&](std::string_view token, uint32_t) {
    // The mark at any place but inside the leading run of marks.
    size_t lead = 0;
    while (token.substr(lead, mark.size()) == mark) lead += mark.size();
    if (token.find(mark, lead) != std::string_view::npos) clean = false;
  });
  return clean;
}

void Bpe::tokenize(std::string_view word, std::vector<Piece>& out) const {
  if (word.empty()) return;
  if (ignore_merges && deterministic()) {
    int32_t id = vocab.find(word);
    if (id >= 0) return out.push_back({id, 0, uint32_t(word.size())});
  }
  thread_local std::vector<Symbol> symbols;
  symbols.clear();
  uint32_t done = 0;  // bytes that the tokens in `out` cover
  auto add = [&](int32_t id, size_t length) { symbols.push_back({id, uint32_t(length), int32_t(symbols.size()) - 1, int32_t(symbols.size()) + 1}); };
  auto flush = [&] {
    if (symbols.empty()) return;
    symbols.back().next = -1;
    merge_all(symbols);
    for (int32_t i = 0; i >= 0; i = symbols[i].next) {
      out.push_back({symbols[i].id, done, done + symbols[i].length});
      done += symbols[i].length;
    }
    symbols.clear();
  };
  int32_t unk = unk_token ? vocab.find(*unk_token) : -1;
  size_t unk_length = 0;
  int last = -1;  // the last byte of the last symbol, when that is a character of the vocabulary
  bool cuts = plain_ && deterministic();
  std::string buffer;
  for (size_t at = 0; at < word.size();) {
    size_t from = at;
    utf8_next(word, at);
    std::string_view symbol = word.substr(from, at - from);
    if (!plain_ && ((prefix && from > 0) || (suffix && at == word.size()))) {
      buffer.clear();
      if (prefix && from > 0) buffer += *prefix;
      buffer += symbol;
      if (suffix && at == word.size()) buffer += *suffix;
      symbol = buffer;
    }
    int32_t id = vocab.find(symbol);
    if (id >= 0) {
      if (unk_length) add(unk, std::exchange(unk_length, 0));
      else if (cuts && last >= 0 && !joins((unsigned char)last, (unsigned char)symbol[0])) flush();
      add(id, at - from);  // without what was put around it
      last = (unsigned char)symbol.back();
      continue;
    }
    last = -1;
    if (byte_fallback && std::all_of(symbol.begin(), symbol.end(), [&](char c) { return fallback_[(unsigned char)c] >= 0; })) {
      for (char c : symbol) add(fallback_[(unsigned char)c], 1);
      continue;
    }
    if (!unk_token) continue;
    if (unk < 0) throw std::runtime_error("The BPE's unk_token `" + *unk_token + "` is not in its vocabulary");
    if (unk_length && !fuse_unk) add(unk, std::exchange(unk_length, 0));
    unk_length += at - from;
  }
  if (unk_length) add(unk, unk_length);
  flush();
}

void Bpe::tokenize_bytes(std::string_view word, std::vector<int32_t>& out) const {
  if (word.empty()) return;
  if (ignore_merges) {
    int32_t id = raw_.find(word);
    if (id >= 0) return out.push_back(id);
  }
  merge_word(word, out);
}

void Bpe::merge_word(std::string_view word, std::vector<int32_t>& out) const {
  std::string known;
  auto unknown = [&](char c) { return byte_tokens_[(unsigned char)c] < 0; };
  if (!byte_level_ && std::any_of(word.begin(), word.end(), unknown)) {
    std::remove_copy_if(word.begin(), word.end(), std::back_inserter(known), unknown);
    if (known.empty()) return;
    word = known;
  }
  if (word.size() == 1) return out.push_back(byte_tokens_[(unsigned char)word[0]]);
  if (byte_level_ && (word.size() >= kSearchLong || (word.size() >= kSearchHigh && has_high(word))))
    if (const BpeSearch* found = search(word.size()); found && found->tokenize(word, out)) return;
  if (word.size() <= kFewBytes) {
    int32_t ids[kFewBytes + 1];
    uint64_t pairs[kFewBytes + 1];
    out.insert(out.end(), ids, ids + merge_bytes(word, ids, pairs, nullptr));
    return;
  }
  thread_local std::vector<Symbol> symbols;
  symbols.resize(word.size());
  for (size_t i = 0; i < word.size(); ++i) symbols[i] = {byte_tokens_[(unsigned char)word[i]], 1, int32_t(i) - 1, int32_t(i) + 1};
  symbols.back().next = -1;
  merge_all(symbols);
  for (int32_t i = 0; i >= 0; i = symbols[i].next) out.push_back(symbols[i].id);
}

// The rank of a merge above the id that it gives; all ones where there is none.
uint64_t Bpe::merge_of(int32_t left, int32_t right) const {
  const MergeTable::Merge* merge = table_.find(uint32_t(left), uint32_t(right));
  return merge ? uint64_t(merge->rank) << 32 | merge->id : kNoMerge;
}

// As merge_few, from bytes: the first look at each pair is into a table of all pairs of bytes.
size_t Bpe::merge_bytes(std::string_view word, int32_t* ids, uint64_t* pairs, Last* last) const {
  size_t count = word.size();
  for (size_t i = 0; i < count; ++i) {
    ids[i] = byte_tokens_[(unsigned char)word[i]];
    pairs[i] = i + 1 < count ? byte_pairs_[size_t((unsigned char)word[i]) << 8 | (unsigned char)word[i + 1]] : kNoMerge;
  }
  return merge_pairs(ids, pairs, count, last);
}

size_t Bpe::merge_tokens(int32_t* ids, uint64_t* pairs, size_t count, uint64_t after) const {
  for (size_t i = 0; i < count; ++i) {
    pairs[i] = i + 1 < count ? merge_of(ids[i], ids[i + 1]) : kNoMerge;
    if (after && pairs[i] >> 32 <= after) return 0;
  }
  return merge_pairs(ids, pairs, count, nullptr);
}

// `pairs` are the merges of the pairs that begin at each place.
size_t Bpe::merge_pairs(int32_t* ids, uint64_t* pairs, size_t count, Last* last) const {
  while (count > 1) {
    size_t best = 0;
    uint64_t low = pairs[0];
    for (size_t i = 1; i + 1 < count; ++i)
      if (pairs[i] < low) low = pairs[i], best = i;
    if (low == kNoMerge) break;
    if (last) *last = {uint32_t(ids[best]), uint32_t(ids[best + 1]), uint32_t(low >> 32), std::max(last->highest, uint32_t(low >> 32))};
    ids[best] = int32_t(uint32_t(low));
    --count;
    for (size_t i = best + 1; i < count; ++i) ids[i] = ids[i + 1], pairs[i] = pairs[i + 1];
    pairs[best] = best + 1 < count ? merge_of(ids[best], ids[best + 1]) : kNoMerge;
    if (best) pairs[best - 1] = merge_of(ids[best - 1], ids[best]);
  }
  return count;
}

void Bpe::merge_all(std::vector<Symbol>& symbols) const {
  if (symbols.size() < 2) return;
  if (symbols.size() <= kFew && deterministic()) merge_few(symbols);
  else merge_many(symbols);
}

// The ranks of all neighbours in an array, scanned for the lowest after each merge.
void Bpe::merge_few(std::vector<Symbol>& symbols) const {
  constexpr uint32_t kNone = ~uint32_t(0);
  uint32_t ranks[kFew], ids[kFew];
  size_t count = symbols.size();
  auto look = [&](size_t i) {
    const MergeTable::Merge* merge = i + 1 < count ? table_.find(uint32_t(symbols[i].id), uint32_t(symbols[i + 1].id)) : nullptr;
    ranks[i] = merge ? merge->rank : kNone;
    ids[i] = merge ? merge->id : 0;
  };
  for (size_t i = 0; i < count; ++i) look(i);
  for (;;) {
    size_t best = 0;
    for (size_t i = 1; i < count; ++i)
      if (ranks[i] < ranks[best]) best = i;
    if (ranks[best] == kNone) break;
    symbols[best].id = int32_t(ids[best]);
    symbols[best].length += symbols[best + 1].length;
    --count;
    for (size_t i = best + 1; i < count; ++i) {
      symbols[i].id = symbols[i + 1].id;
      symbols[i].length = symbols[i + 1].length;
      ranks[i] = ranks[i + 1];
      ids[i] = ids[i + 1];
    }
    look(best);
    if (best) look(best - 1);
    if (count < 2) break;
  }
  symbols.resize(count);
  symbols.back().next = -1;
}

void Bpe::merge_many(std::vector<Symbol>& symbols) const {
  struct Candidate {
    uint32_t rank;
    int32_t at;
    uint32_t id;
    bool operator<(const Candidate& other) const { return rank != other.rank ? rank > other.rank : at > other.at; }
  };
  thread_local std::vector<Candidate> heap;
  thread_local std::mt19937_64 random{std::random_device{}()};
  heap.clear();
  auto push = [&](int32_t at) {
    int32_t next = symbols[at].next;
    if (next < 0) return;
    if (const MergeTable::Merge* merge = table_.find(uint32_t(symbols[at].id), uint32_t(symbols[next].id))) {
      heap.push_back({merge->rank, at, merge->id});
      std::push_heap(heap.begin(), heap.end());
    }
  };
  for (int32_t i = 0; i + 1 < int32_t(symbols.size()); ++i) push(i);
  std::vector<Candidate> skipped;
  while (!heap.empty()) {
    Candidate top = heap.front();
    std::pop_heap(heap.begin(), heap.end());
    heap.pop_back();
    if (!deterministic() && std::uniform_real_distribution<double>(0, 1)(random) < *dropout) {
      skipped.push_back(top);
      continue;
    }
    // Merges that were skipped may be tried again once another one has happened.
    for (const Candidate& candidate : skipped) {
      heap.push_back(candidate);
      std::push_heap(heap.begin(), heap.end());
    }
    skipped.clear();
    Symbol& left = symbols[top.at];
    if (left.length == 0 || left.next < 0) continue;  // swallowed meanwhile, or the last one
    const MergeTable::Merge* merge = table_.find(uint32_t(left.id), uint32_t(symbols[left.next].id));
    if (!merge || merge->id != top.id) continue;  // the pair at this place is another one now
    Symbol& right = symbols[left.next];
    left.id = int32_t(top.id);
    left.length += right.length;
    right.length = 0;
    left.next = right.next;
    if (right.next >= 0) symbols[right.next].previous = top.at;
    if (left.previous >= 0) push(left.previous);
    push(top.at);
  }
}

std::string Bpe::to_json(bool options_only) const {
  std::string out = "{\"type\":\"BPE\",\"dropout\":";
  auto text = [&](const char* key, const std::optional<std::string>& value) {
    out += std::string(",\"") + key + "\":";
    if (value) json_quote(*value, out);
    else out += "null";
  };
  if (dropout) {
    char digits[32];
    std::snprintf(digits, sizeof digits, "%.9g", *dropout);
    out += digits;
    if (out.find_first_of(".e", out.size() - std::char_traits<char>::length(digits)) == std::string::npos) out += ".0";
  } else {
    out += "null";
  }
  text("unk_token", unk_token);
  text("continuing_subword_prefix", prefix);
  text("end_of_word_suffix", suffix);
  out += std::string(",\"fuse_unk\":") + (fuse_unk ? "true" : "false");
  out += std::string(",\"byte_fallback\":") + (byte_fallback ? "true" : "false");
  out += std::string(",\"ignore_merges\":") + (ignore_merges ? "true," : "false,");
  vocab_json(out, options_only);
  out += ",\"merges\":[";
  for (size_t i = 0; i < (options_only ? 0 : merges.size()); ++i) {
    out += i ? ",[" : "[";
    json_quote(vocab.token(merges[i].first), out);
    out.push_back(',');
    json_quote(vocab.token(merges[i].second), out);
    out.push_back(']');
  }
  return out + "]}";
}

}  // namespace enfold
