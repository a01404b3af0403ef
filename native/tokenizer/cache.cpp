#include "tokenizer/cache.hpp"

namespace enfold {

WordCache::WordCache() : slots_(2 * kSets), long_(1 << 15) {}

void WordCache::put(std::string_view word, const int32_t* ids, size_t count) {
  if (word.size() > kLongest || count == 0) return;
  if (word.size() > kInline || count > 4) return put_long(word, ids, count);
  Key key = make_key(word, false);
  Slot* slot = &slots_[2 * (hash(key) & (kSets - 1))];
  // The newcomer takes the first place and what was there the second, unless the second is free of charge.
  if (slot[0].key.high != 0) {
    if (slot[1].key.high == 0 || (++turn_ & 1)) slot[1] = slot[0];
  }
  slot->key = key;
  for (size_t i = 0; i < 4; ++i) slot->ids[i] = i < count ? ids[i] : -1;
}

bool WordCache::find_long(std::string_view word, std::vector<int32_t>& out) const {
  uint64_t h = hash_bytes(word) | 1;
  for (size_t at = h >> 8 & (long_.size() - 1), step = 0; step < 8; ++step, at = (at + 1) & (long_.size() - 1)) {
    const LongSlot& slot = long_[at];
    if (slot.hash == 0) return false;
    if (slot.hash != h || slot.length != word.size() || std::memcmp(keys_.data() + slot.key, word.data(), word.size()) != 0) continue;
    out.insert(out.end(), ids_.begin() + slot.ids, ids_.begin() + slot.ids + slot.count);
    return true;
  }
  return false;
}

void WordCache::put_long(std::string_view word, const int32_t* ids, size_t count) {
  if (long_count_ * 2 > long_.size() || keys_.size() + ids_.size() * 4 > kArena) {
    long_.assign(long_.size(), {});
    keys_.clear();
    ids_.clear();
    long_count_ = 0;
  }
  uint64_t h = hash_bytes(word) | 1;
  for (size_t at = h >> 8 & (long_.size() - 1), step = 0; step < 8; ++step, at = (at + 1) & (long_.size() - 1)) {
    LongSlot& slot = long_[at];
    if (slot.hash != 0) continue;
    slot = {h, uint32_t(keys_.size()), uint32_t(word.size()), uint32_t(ids_.size()), uint32_t(count)};
    keys_.append(word);
    ids_.insert(ids_.end(), ids, ids + count);
    ++long_count_;
    return;
  }
}

size_t WordCache::bytes() const {
  return slots_.capacity() * sizeof(Slot) + long_.capacity() * sizeof(LongSlot) + keys_.capacity() + ids_.capacity() * 4;
}

std::unique_ptr<Scratch> ScratchPool::take() {
  if (std::unique_lock lock(mutex_, std::try_to_lock); lock && !idle_.empty()) {
    auto scratch = std::move(idle_.back());
    idle_.pop_back();
    return scratch;
  }
  return std::make_unique<Scratch>();
}

void ScratchPool::give(std::unique_ptr<Scratch> scratch) {
  std::unique_lock lock(mutex_, std::try_to_lock);
  if (lock && idle_.size() < kKeep) idle_.push_back(std::move(scratch));
}

}  // namespace enfold
