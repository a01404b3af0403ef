#include "tokenizer/align/align.hpp"

#include <bit>
#include <cstring>

namespace enfold {
namespace {

// The number of characters that begin in text[from, to).
inline uint32_t characters(const char* text, size_t from, size_t to) {
  uint32_t count = 0;
  for (; from + 8 <= to; from += 8) {
    uint64_t bytes;
    std::memcpy(&bytes, text + from, 8);
    // Bytes 10xxxxxx continue a character.
    count += 8 - uint32_t(std::popcount(bytes & ~(bytes << 1) & 0x8080808080808080));
  }
  for (; from < to; ++from) count += (text[from] & 0xC0) != 0x80;
  return count;
}

// Turns bytes into characters. A span that ends inside a character takes all of it.
void count_characters(std::string_view text, Span* spans, size_t count) {
  const char* bytes = text.data();
  size_t at = 0;       // a place, and how many characters begin before it
  uint32_t seen = 0;
  for (size_t i = 0; i < count; ++i) {
    auto [begin, end] = spans[i];
    if (begin < at) at = 0, seen = 0;  // only where tokens share a character
    seen += characters(bytes, at, begin);
    at = begin;
    bool inside = begin < text.size() && (bytes[begin] & 0xC0) == 0x80;
    uint32_t last = seen + characters(bytes, begin, end);
    spans[i] = {seen - inside, last};
  }
}

}  // namespace

AlignerPtr make_aligner(const Pipeline& pipeline) {
  for (auto make : {byte_level_aligner, bert_aligner, spaces_aligner, unigram_aligner})
    if (AlignerPtr made = make(pipeline)) return made;
  return nullptr;
}

bool align(const Pipeline& pipeline, const Aligner& aligner, std::string_view text, bool ascii, const int32_t* ids, size_t count, Places out) {
  const AddedVocabulary& added = *pipeline.added;
  Unplaced todo{ids, ids + count, out.spans, out.words, 0, 0, out.names, ids};
  bool told = true;
  auto part = [&](size_t begin, size_t end, int32_t id) {
    if (!told || todo.done()) return;
    if (id < 0) {
      todo.base = uint32_t(begin);
      told = aligner.place(text.substr(begin, end - begin), begin == 0, todo);
    } else if ((told = *todo.id == id)) {
      todo.name(std::string(text.substr(begin, end - begin)));
      todo.place(uint32_t(begin), uint32_t(end));
      ++todo.words;
    }
  };
  added.cut(text, added.raw(), pipeline.encode_special_tokens, [&](size_t begin, size_t end, int32_t id) {
    if (id >= 0 || !added.any_normalized()) return part(begin, end, id);
    added.cut(text.substr(begin, end - begin), added.normalized(), pipeline.encode_special_tokens,
              [&](size_t from, size_t to, int32_t found) { part(begin + from, begin + to, found); });
  });
  if (!told || !todo.done()) return false;
  if (!ascii) count_characters(text, out.spans, count);
  return true;
}

}  // namespace enfold
