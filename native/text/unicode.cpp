#include "text/unicode.hpp"

#include <algorithm>
#include <cstring>
#include <iterator>

#include "text/utf8.hpp"

namespace enfold {
namespace {

// Hangul syllables compose and decompose by arithmetic (Unicode, chapter 3.12).
constexpr char32_t kSyllable = 0xAC00, kLead = 0x1100, kVowel = 0x1161, kTail = 0x11A7;
constexpr char32_t kLeads = 19, kVowels = 21, kTails = 28, kSyllables = kLeads * kVowels * kTails;

template <size_t N>
size_t find(const uint32_t (&keys)[N], char32_t code) {
  const uint32_t* hit = std::lower_bound(std::begin(keys), std::end(keys), uint32_t(code));
  return hit != std::end(keys) && *hit == code ? size_t(hit - keys) : N;
}

uint8_t combining_class(char32_t code) {
  if (code < 0x300) return 0;
  size_t at = find(classFrom, code);
  return at < std::size(classFrom) ? classValue[at] : 0;
}

// Appends the full decomposition; its first character replaces `code` (`change` as given), the others follow it.
void decompose(char32_t code, bool compatible, std::vector<Change>& out) {
  if (code < 0x80) return out.push_back({code, 0});
  if (code >= kSyllable && code < kSyllable + kSyllables) {
    char32_t index = code - kSyllable;
    out.push_back({kLead + index / (kVowels * kTails), 0});
    out.push_back({kVowel + index % (kVowels * kTails) / kTails, 1});
    if (index % kTails) out.push_back({kTail + index % kTails, 1});
    return;
  }
  const uint16_t* starts = compatible ? compatibleStart : canonicalStart;
  const uint32_t* pool = compatible ? compatiblePool : canonicalPool;
  size_t count = compatible ? std::size(compatibleFrom) : std::size(canonicalFrom);
  size_t at = compatible ? find(compatibleFrom, code) : find(canonicalFrom, code);
  if (at == count) return out.push_back({code, 0});
  for (uint16_t i = starts[at]; i < starts[at + 1]; ++i) out.push_back({pool[i], i > starts[at]});
}

char32_t compose(char32_t first, char32_t second) {
  if (first >= kLead && first < kLead + kLeads && second >= kVowel && second < kVowel + kVowels)
    return kSyllable + ((first - kLead) * kVowels + second - kVowel) * kTails;
  if (first >= kSyllable && first < kSyllable + kSyllables && (first - kSyllable) % kTails == 0 && second > kTail &&
      second < kTail + kTails)
    return first + second - kTail;
  const uint32_t* lo = std::lower_bound(std::begin(pairFirst), std::end(pairFirst), uint32_t(first));
  const uint32_t* hi = std::upper_bound(lo, std::end(pairFirst), uint32_t(first));
  size_t begin = size_t(lo - pairFirst), end = size_t(hi - pairFirst);
  const uint32_t* hit = std::lower_bound(pairSecond + begin, pairSecond + end, uint32_t(second));
  return hit != pairSecond + end && *hit == second ? pairComposed[hit - pairSecond] : 0;
}

// Puts every run of marks into canonical order; the changes travel with their characters.
void reorder(std::vector<Change>& chars) {
  for (size_t i = 0; i < chars.size();) {
    if (!combining_class(chars[i].code)) {
      ++i;
      continue;
    }
    size_t end = i;
    while (end < chars.size() && combining_class(chars[end].code)) ++end;
    std::stable_sort(chars.begin() + i, chars.begin() + end,
                     [](const Change& a, const Change& b) { return combining_class(a.code) < combining_class(b.code); });
    i = end;
  }
}

// Composes in place what may be composed. A starter takes over the changes of the marks that it swallows.
void recompose(std::vector<Change>& chars) {
  size_t starter = chars.size(), kept = 0;
  int last_class = -1;  // the class of the last mark kept after the starter, -1 for none
  for (const Change& item : std::vector<Change>(chars)) {
    int cls = combining_class(item.code);
    if (starter < kept && last_class < cls) {
      if (char32_t joined = compose(chars[starter].code, item.code)) {
        chars[starter].code = joined;
        chars[starter].change += item.change - 1;
        continue;
      }
    }
    chars[kept] = item;
    if (cls == 0) {
      starter = kept;
      last_class = -1;
    } else {
      last_class = cls;
    }
    ++kept;
  }
  chars.resize(kept);
}

// Characters that NFC may change, or that may change or move what is before them. All others stand for themselves whatever
// follows, and nothing that comes before a place where one stands has to do with what comes after it.
class Unsettled {
 public:
  Unsettled() {
    for (uint32_t code : classFrom) add(code);
    for (uint32_t code : pairSecond) add(code);
    for (char32_t i = 0; i < kVowels; ++i) add(kVowel + i);
    for (char32_t i = 1; i < kTails; ++i) add(kTail + i);
    std::vector<Change> chars;
    for (uint32_t code : canonicalFrom) {
      chars.clear();
      decompose(code, false, chars);
      bool moves = has(chars[0].code);
      recompose(chars);
      if (moves || chars.size() != 1 || chars[0].code != code) add(code);
    }
  }
  bool has(char32_t code) const { return code < kMost && bits_[code >> 6] >> (code & 63) & 1; }

 private:
  static constexpr char32_t kMost = 0x30000;
  void add(char32_t code) {
    if (code < kMost) bits_[code >> 6] |= uint64_t(1) << (code & 63);
  }
  uint64_t bits_[kMost / 64] = {};
};

const Unsettled& unsettled() {
  static const Unsettled made;
  return made;
}

// The first unsettled character from `at` on, and in `before` where the character before it begins; or text.size().
size_t find_unsettled(std::string_view text, size_t at, size_t& before) {
  const Unsettled& table = unsettled();
  for (before = at; at < text.size();) {
    auto c = (unsigned char)text[at];
    if (uint64_t eight; c < 0x80 && text.size() - at >= 8 && (std::memcpy(&eight, text.data() + at, 8), (eight & 0x8080808080808080) == 0)) {
      before = at + 7;
      at += 8;
    } else if (c < 0x80) {
      before = at++;
    } else if (c >= 0xE4 && c <= 0xE9 && text.size() - at >= 3) {  // ideographs
      before = at;
      at += 3;
    } else {
      size_t from = at;
      if (table.has(utf8_next(text, at))) return from;
      before = from;
    }
  }
  return text.size();
}

}  // namespace

uint8_t script_of(char32_t code) {
  const uint32_t* after = std::upper_bound(std::begin(scriptFrom), std::end(scriptFrom), uint32_t(code));
  return scriptNumber[after - std::begin(scriptFrom) - 1];
}

void lower(char32_t code, std::vector<Change>& out) {
  if (code < 0x80) return out.push_back({code >= 'A' && code <= 'Z' ? code + 32 : code, 0});
  size_t at = find(lowerFrom, code);
  if (at == std::size(lowerFrom)) return out.push_back({code, 0});
  for (uint16_t i = lowerStart[at]; i < lowerStart[at + 1]; ++i) out.push_back({lowerPool[i], i > lowerStart[at]});
}

void upper(char32_t code, std::vector<Change>& out) {
  size_t at = find(upperFrom, code);
  if (at == std::size(upperFrom)) return out.push_back({code, 0});
  for (uint16_t i = upperStart[at]; i < upperStart[at + 1]; ++i) out.push_back({upperPool[i], i > upperStart[at]});
}

void normalize(Form form, std::string_view text, std::vector<Change>& out) {
  out.clear();
  bool compatible = form == Form::NFKC || form == Form::NFKD;
  for (size_t at = 0; at < text.size();) decompose(utf8_next(text, at), compatible, out);
  reorder(out);
  if (form == Form::NFC || form == Form::NFKC) recompose(out);
}

bool compose(std::string_view text, std::string& out) {
  size_t before, at = find_unsettled(text, 0, before), done = 0;
  if (at == text.size()) return false;
  out.clear();
  std::vector<Change> chars;
  while (at < text.size()) {
    // From the character before it to the next one that is settled again.
    out.append(text.substr(done, before - done));
    size_t end = at;
    for (size_t next = at; next < text.size() && unsettled().has(utf8_next(text, next));) end = next;
    normalize(Form::NFC, text.substr(before, end - before), chars);
    for (const Change& made : chars) utf8_append(made.code, out);
    done = end;
    at = find_unsettled(text, end, before);
  }
  out.append(text.substr(done));
  return true;
}

}  // namespace enfold
