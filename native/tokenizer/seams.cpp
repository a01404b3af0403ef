#include "tokenizer/seams.hpp"

#include <algorithm>
#include <bit>
#include <new>

#include "text/normalizers.hpp"
#include "tokenizer/model.hpp"

namespace enfold {
namespace {

bool continues(int byte) { return (byte & 0xC0) == 0x80; }

// What the bytes of a token, written in visible characters, begin with: a character of ASCII or of three bytes, or the first
// bytes of one; 0 for anything else.
uint32_t beginning(std::string_view token) {
  if ((unsigned char)token[0] < 0x80) return (unsigned char)token[0];  // visible ASCII is itself
  size_t at = 0;
  int first = char_byte(utf8_next(token, at));
  if (first < 0x80) return first < 0 ? 0 : uint32_t(first);
  if (first < 0xE0 || first > 0xEF) return 0;
  uint32_t made = uint32_t(first);
  for (int i = 0; i < 2 && at < token.size(); ++i) {
    int next = char_byte(utf8_next(token, at));
    if (!continues(next)) return 0;
    made = made << 8 | uint32_t(next);
  }
  return made;
}

// What they end with: such a character, or its last bytes if that is all there is.
uint32_t ending(std::string_view token) {
  if ((unsigned char)token.back() < 0x80) return (unsigned char)token.back();
  size_t end = token.size();
  int last = char_byte(utf8_previous(token, end));
  if (last < 0x80) return last < 0 ? 0 : uint32_t(last);
  if (!continues(last)) return 0;
  uint32_t made = uint32_t(last);
  for (int count = 1; end > 0; ++count) {
    int before = char_byte(utf8_previous(token, end));
    if (before < 0x80 || count == 3) return 0;
    made |= uint32_t(before) << 8 * count;
    if (!continues(before)) return count == 2 && before >= 0xE0 && before <= 0xEF ? made : 0;
  }
  return made > 0xFFFF ? 0 : made;
}

int bytes_of(uint32_t part) { return part > 0xFFFF ? 3 : part > 0xFF ? 2 : 1; }

}  // namespace

// From calloc, for pages of it that no text asks for then take no memory and no time.
Seams::Seams(const Bpe& model)
    : model_(model), strict_(model.ignore_merges), tokens_(static_cast<std::atomic<uint64_t>*>(std::calloc(0x10000, sizeof(uint64_t))), &std::free) {
  if (!tokens_) throw std::bad_alloc();
  std::vector<uint32_t> begins(model.vocab.ids()), ends(model.vocab.ids());
  model.vocab.each([&](std::string_view token, uint32_t id) {
    if (!token.empty()) begins[id] = beginning(token), ends[id] = ending(token);
  });
  std::vector<std::pair<uint32_t, uint32_t>> found;
  for (auto [left, right] : model.merges) {
    uint32_t end = ends[left], begin = begins[right];
    if (end && begin && (end > 0x7F || begin > 0x7F)) found.emplace_back(end, begin);
  }
  size_t size = std::bit_ceil(found.size() * 16 + 64);
  bits_.resize(size / 64);
  shift_ = 64 - std::countr_zero(size);
  lefts_.fill(kParts & ~kLeftWhole);
  rights_.fill(kParts & ~kRightWhole);
  for (auto [end, begin] : found) {
    uint64_t at = (uint64_t(end) << 24 | begin) * 0x9E3779B97F4A7C15 >> shift_;
    bits_[at >> 6] |= uint64_t(1) << (at & 63);
    int i = bytes_of(end), j = bytes_of(begin);
    if (end <= 0x7F || begin <= 0x7F || i + j == 6) continue;
    parts_[end & 63][begin >> 8 * (j - 1) & 15] |= uint16_t(1 << ((i - 1) * 3 + j - 1));
    if (i == 3) lefts_[place(end)] |= kLeftWhole;
    if (j == 3) rights_[place(begin)] |= kRightWhole;
  }
  if (!model.ignore_merges) return;
  std::string raw;
  std::vector<size_t> places;
  model.vocab.each([&](std::string_view token, uint32_t id) {
    // Words that end in ASCII are not cut.
    if ((ends[id] && ends[id] <= 0x7F) || token.size() < 4 || !bytes_of_visible(token, raw) || !utf8_valid(raw)) return;
    places.resize(raw.size());
    if (find(raw, 0, raw.size(), true, places.data())) whole_.add(raw, id);
  });
}

bool Seams::joins_by(uint32_t left, uint32_t right, unsigned ways) const {
  for (; ways; ways &= ways - 1) {
    int way = std::countr_zero(ways);
    if (has(left & kEnds[way / 3], right >> kBegins[way % 3])) return true;
  }
  return false;
}

bool Seams::joins_ascii(uint32_t left, uint32_t right) const {
  if (has(left, right)) return true;
  return left <= 0x7F ? has(left, right >> 8) || has(left, right >> 16) : has(left & 0xFFFF, right) || has(left & 0xFF, right);
}

uint64_t Seams::token_of(const unsigned char* p) const {
  std::atomic<uint64_t>& held = tokens_[size_t(p[0] & 15) << 12 | size_t(p[1] & 63) << 6 | (p[2] & 63)];
  uint64_t known = held.load(std::memory_order_relaxed);
  if (known == 0) {
    int32_t ids[4];
    uint64_t pairs[4];
    Bpe::Last last;
    size_t count = model_.merge_bytes({reinterpret_cast<const char*>(p), 3}, ids, pairs, &last);
    known = count == 1 ? uint64_t(last.highest) << 32 | (uint64_t(ids[0]) + 1) : uint64_t(1) << 32;
    held.store(known, std::memory_order_relaxed);
  }
  return known;
}

bool Seams::tokenize(std::string_view word, std::vector<int32_t>& out) const {
  size_t count = word.size() / 3;
  if (word.size() % 3 || count < 2 || count > kMost) return false;
  int32_t ids[kMost + 1];
  uint64_t pairs[kMost + 1], highest = 0;
  const auto* p = reinterpret_cast<const unsigned char*>(word.data());
  for (size_t i = 0; i < count; ++i, p += 3) {
    if (p[0] < 0xE0 || p[0] > 0xEF || (i && joins_parts(wide(p - 3), wide(p)))) return false;
    uint64_t known = token_of(p);
    if (uint32_t(known) == 0) return false;
    ids[i] = int32_t(uint32_t(known)) - 1;
    highest = std::max(highest, known >> 32);
  }
  // Where merges come in another order, two characters may be joined before a third one is whole.
  count = model_.merge_tokens(ids, pairs, count, model_.in_order() ? 0 : highest);
  out.insert(out.end(), ids, ids + count);
  return count > 0;
}

}  // namespace enfold
