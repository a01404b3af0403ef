#include "tokenizer/train/words.hpp"

#include <stdexcept>

namespace enfold {

void WordMap::grow() {
  std::vector<Slot> old(slots_.size() * 2);
  old.swap(slots_);
  size_t mask = slots_.size() - 1;
  for (const Slot& slot : old) {
    if (!slot.high) continue;
    size_t at = hash(slot) & mask;
    while (slots_[at].high) at = (at + 1) & mask;
    slots_[at] = slot;
  }
}

void WordMap::add_long(std::string_view word, uint64_t count) {
  if (word.size() >= UINT32_MAX) throw std::overflow_error("a word of more than 4 GB cannot be trained on; cut the text, or set a pre_tokenizer");
  if ((long_.size() + 1) * 2 > long_slots_.size()) {
    if (long_.size() >= UINT32_MAX / 4) throw std::overflow_error("too many distinct long words; cut the text, or set a pre_tokenizer");
    long_slots_.assign(std::max<size_t>(64, long_slots_.size() * 2), 0);
    for (size_t i = 0; i < long_.size(); ++i) {
      size_t at = long_[i].hash & (long_slots_.size() - 1);
      while (long_slots_[at]) at = (at + 1) & (long_slots_.size() - 1);
      long_slots_[at] = uint32_t(i + 1);
    }
  }
  uint64_t h = hash_bytes(word);
  size_t mask = long_slots_.size() - 1, at = h & mask;
  for (; long_slots_[at]; at = (at + 1) & mask) {
    Long& known = long_[long_slots_[at] - 1];
    if (known.hash != h || view(known) != word) continue;
    known.count += count;
    return;
  }
  long_.push_back({h, arena_.size(), count, uint32_t(word.size())});
  long_slots_[at] = uint32_t(long_.size());
  arena_.append(word);
}

}  // namespace enfold
