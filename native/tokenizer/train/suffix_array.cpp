#include "tokenizer/train/suffix_array.hpp"

#include <algorithm>

namespace enfold {
namespace {

// `text` ends in a 0 that occurs nowhere else. A suffix is small when it is less than the one behind it, large
// otherwise; the leftmost of every run of small ones ("lms") decide the order of all.
void sort_suffixes(const uint32_t* text, int32_t* suffixes, int32_t size, uint32_t alphabet) {
  if (size == 1) {
    suffixes[0] = 0;
    return;
  }
  std::vector<bool> small(size_t(size), true);
  for (int32_t i = size - 2; i >= 0; --i) small[i] = text[i] < text[i + 1] || (text[i] == text[i + 1] && small[i + 1]);
  auto lms = [&](int32_t i) { return i > 0 && small[i] && !small[i - 1]; };
  std::vector<int32_t> counts(alphabet), edges(alphabet);
  for (int32_t i = 0; i < size; ++i) ++counts[text[i]];
  auto begins = [&] {
    int32_t sum = 0;
    for (uint32_t c = 0; c < alphabet; ++c) edges[c] = sum, sum += counts[c];
  };
  auto ends = [&] {
    int32_t sum = 0;
    for (uint32_t c = 0; c < alphabet; ++c) sum += counts[c], edges[c] = sum;
  };
  // From the lms suffixes at the ends of their buckets to all: the large ones forwards, then the small ones backwards.
  auto induce = [&] {
    begins();
    for (int32_t i = 0; i < size; ++i) {
      int32_t j = suffixes[i] - 1;
      if (j >= 0 && !small[j]) suffixes[edges[text[j]]++] = j;
    }
    ends();
    for (int32_t i = size - 1; i >= 0; --i) {
      int32_t j = suffixes[i] - 1;
      if (j >= 0 && small[j]) suffixes[--edges[text[j]]] = j;
    }
  };
  std::fill_n(suffixes, size, -1);
  ends();
  int32_t many = 0;
  for (int32_t i = 1; i < size; ++i)
    if (lms(i)) suffixes[--edges[text[i]]] = i, ++many;
  induce();

  // The lms suffixes are now in the order of their parts up to the next one: equal parts get one name.
  std::vector<int32_t> sorted, names(size_t(size) / 2 + 1, -1);
  sorted.reserve(size_t(many));
  for (int32_t i = 0; i < size; ++i)
    if (lms(suffixes[i])) sorted.push_back(suffixes[i]);
  int32_t name = 0, last = -1;
  for (int32_t at : sorted) {
    bool same = last >= 0;
    for (int32_t d = 0; same; ++d) {
      if (at + d >= size || last + d >= size || text[at + d] != text[last + d] || small[at + d] != small[last + d]) same = false;
      else if (d > 0 && (lms(at + d) || lms(last + d))) {
        same = lms(at + d) && lms(last + d);
        break;
      }
    }
    if (!same) ++name;
    last = at;
    names[at / 2] = name - 1;  // no two lms suffixes are neighbours
  }
  std::vector<uint32_t> shorter;
  std::vector<int32_t> where;
  shorter.reserve(size_t(many));
  where.reserve(size_t(many));
  for (int32_t i = 1; i < size; ++i)
    if (lms(i)) {
      shorter.push_back(uint32_t(names[i / 2]));
      where.push_back(i);
    }
  std::vector<int32_t> order(shorter.size());
  if (name < many) {
    sort_suffixes(shorter.data(), order.data(), many, uint32_t(name));
  } else {
    for (int32_t i = 0; i < many; ++i) order[shorter[i]] = i;
  }
  std::fill_n(suffixes, size, -1);
  ends();
  for (int32_t i = many - 1; i >= 0; --i) {
    int32_t at = where[order[i]];
    suffixes[--edges[text[at]]] = at;
  }
  induce();
}

}  // namespace

std::vector<int32_t> suffix_array(const std::vector<uint32_t>& text, uint32_t alphabet) {
  std::vector<uint32_t> ended(text.size() + 1);
  for (size_t i = 0; i < text.size(); ++i) ended[i] = text[i] + 1;
  std::vector<int32_t> suffixes(ended.size());
  sort_suffixes(ended.data(), suffixes.data(), int32_t(ended.size()), alphabet + 1);
  suffixes.erase(suffixes.begin());
  return suffixes;
}

std::vector<int32_t> common_prefixes(const std::vector<uint32_t>& text, const std::vector<int32_t>& suffixes) {
  int32_t size = int32_t(text.size()), length = 0;
  std::vector<int32_t> ranks(text.size()), made(text.size());
  for (int32_t i = 0; i < size; ++i) ranks[suffixes[i]] = i;
  for (int32_t i = 0; i < size; ++i) {
    if (ranks[i] == 0) {
      length = 0;
      continue;
    }
    int32_t before = suffixes[ranks[i] - 1];
    while (i + length < size && before + length < size && text[i + length] == text[before + length]) ++length;
    made[ranks[i]] = length;
    if (length) --length;
  }
  return made;
}

}  // namespace enfold
