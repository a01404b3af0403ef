// Many words at a time through the word cache.
#pragma once

#include <cstring>
#include <string_view>
#include <vector>

#include "tokenizer/cache.hpp"

namespace enfold {

constexpr size_t kLookUpWords = 128;

// Appends the tokens of the words of `text` that end at `ends`, the first of which begins at `begin`; there are at most
// kLookUpWords. All their places in the cache are asked for before the first is looked at, so that the waiting overlaps.
// `miss(word)` appends the tokens of a word that the cache does not know to `out`; false if they are not to be remembered.
// `wholes`: where it looks for a word first, or null.
template <class Miss>
void look_up(std::string_view text, size_t begin, const size_t* ends, size_t count, std::vector<int32_t>& out, WordCache& cache, const Vocab* wholes, Miss miss) {
  WordCache::Key keys[kLookUpWords];
  uint64_t hashes[kLookUpWords];
  for (size_t i = 0, at = begin; i < count; at = ends[i++]) {
    size_t length = ends[i] - at;
    if (length > WordCache::kInline) {
      keys[i].high = 0;
      if (length <= WordCache::kLongest) cache.prefetch_long(hashes[i] = WordCache::hash_long(text.substr(at, length)));
      continue;
    }
    keys[i] = WordCache::make_key(text.substr(at, length), text.size() - at >= 16);
    cache.prefetch(hashes[i] = WordCache::hash(keys[i]));
  }
  int32_t made[kLookUpWords * 4];
  size_t filled = 0;
  for (size_t i = 0, at = begin; i < count; at = ends[i++]) {
    if (keys[i].high) [[likely]]
      if (const WordCache::Slot* slot = cache.find(keys[i], hashes[i])) [[likely]] {
        std::memcpy(made + filled, slot->ids, 16);
        filled += slot->count();
        continue;
      }
    out.insert(out.end(), made, made + filled);
    filled = 0;
    std::string_view word = text.substr(at, ends[i] - at);
    if (word.size() > WordCache::kInline ? word.size() <= WordCache::kLongest && cache.find_long(word, hashes[i], out) : cache.find_long(word, out)) continue;
    if (wholes) {  // others of these words are as unknown: their waiting overlaps, too
      std::string_view unknown[kLookUpWords];
      size_t some = 0;
      for (size_t j = i, from = at; j < count; from = ends[j++])
        if (keys[j].high && !cache.find(keys[j], hashes[j])) unknown[some++] = text.substr(from, ends[j] - from);
      wholes->prefetch(unknown, some);
      wholes = nullptr;
    }
    size_t before = out.size();
    if (miss(word)) cache.put(word, out.data() + before, out.size() - before);
  }
  out.insert(out.end(), made, made + filled);
}

}  // namespace enfold
