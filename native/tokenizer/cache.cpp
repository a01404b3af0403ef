#include "tokenizer/cache.hpp"

#include <algorithm>
#include <bit>

#include "large_pages.hpp"

namespace enfold {

void WordCache::Free::operator()(Slot* slots) const { free_large(slots, bytes); }

WordCache::WordCache(size_t most) : long_(1 << 12), most_(std::min(most, kMost)) {
  allocate(std::min(kFirst, std::max<size_t>(4, std::bit_floor(most_))));
}

void WordCache::allocate(size_t entries) {
  size_t size = entries * sizeof(Slot);
  auto* made = static_cast<Slot*>(allocate_large(size));
  slots_ = {made, Free{size}};
  std::memset(static_cast<void*>(made), 0, size);
  entries_ = entries;
  mask_ = entries / 2 - 1;
  count_ = 0;
}

void WordCache::grow() {
  std::unique_ptr<Slot, Free> old = std::move(slots_);
  size_t entries = entries_;
  allocate(entries * 2);
  for (size_t i = 0; i < entries; ++i)
    if (old.get()[i].key.high && !insert(old.get()[i])) replace(old.get()[i]);
}

// False when there is no room where it belongs.
bool WordCache::insert(const Slot& made) {
  uint64_t at = hash(made.key);
  Slot* own = const_cast<Slot*>(pair(at));
  Slot* next = const_cast<Slot*>(pair(at ^ 1));
  for (Slot* slot : {own, own + 1, next, next + 1})
    if (slot->key.high == 0) {
      *slot = made;
      ++count_;
      return true;
    }
  return false;
}

void WordCache::replace(const Slot& made) { const_cast<Slot*>(pair(hash(made.key)))[++turn_ & 1] = made; }

void WordCache::put(std::string_view word, const int32_t* ids, size_t count) {
  if (word.size() > kLongest || count == 0 || most_ == 0) return;
  if (word.size() > kInline || count > 4) return put_long(word, ids, count);
  // While the table can still grow, those without room wait among the long ones.
  if (!put_short(make_key(word, false), ids, count)) put_long(word, ids, count);
}

void WordCache::put_part(std::string_view part, const int32_t* ids, size_t count) {
  if (part.size() > kInline || count > 4 || count == 0 || most_ == 0) return;
  Key key = part_key(part, false);
  if (!put_short(key, ids, count)) replace(slot_of(key, ids, count));
}

WordCache::Slot WordCache::slot_of(Key key, const int32_t* ids, size_t count) {
  Slot made{key, {-1, -1, -1, -1}};
  for (size_t i = 0; i < count; ++i) made.ids[i] = ids[i];
  return made;
}

// False when there is no room where it belongs, and may be some once the table has grown.
bool WordCache::put_short(Key key, const int32_t* ids, size_t count) {
  if (count_ * 2 > entries_ && entries_ * 2 <= most_) grow();
  Slot made = slot_of(key, ids, count);
  if (insert(made)) return true;
  if (entries_ * 2 <= most_) return false;
  replace(made);
  return true;
}

bool WordCache::find_long(std::string_view word, uint64_t h, std::vector<int32_t>& out) const {
  for (size_t at = h >> 8 & (long_.size() - 1); long_[at].hash; at = (at + 1) & (long_.size() - 1)) {
    const LongSlot& slot = long_[at];
    if (slot.hash != h || slot.length != word.size() || std::memcmp(keys_.data() + slot.key, word.data(), word.size()) != 0) continue;
    out.insert(out.end(), ids_.begin() + slot.ids, ids_.begin() + slot.ids + slot.count);
    return true;
  }
  return false;
}

void WordCache::put_long(std::string_view word, const int32_t* ids, size_t count) {
  uint64_t h = hash_long(word);
  if (word.size() > kTwice) {
    if (seen_.empty()) seen_.resize(kSeen);
    uint16_t &seen = seen_[h >> 40 & (seen_.size() - 1)], mark = uint16_t(h >> 16) | 1;
    if (seen != mark) return void(seen = mark);
  }
  bool full = keys_.size() + ids_.size() * 4 > kArena || long_count_ >= most_;
  if (full || long_count_ * 2 > long_.size()) {
    std::vector<LongSlot> old(full || long_.size() >= kMostLong ? long_.size() : long_.size() * 2);
    old.swap(long_);
    if (old.size() == long_.size()) {
      keys_.clear();
      ids_.clear();
      long_count_ = 0;
    } else {
      for (const LongSlot& slot : old)
        if (slot.hash) *free_place(slot.hash) = slot;
    }
  }
  *free_place(h) = {h, uint32_t(keys_.size()), uint32_t(word.size()), uint32_t(ids_.size()), uint32_t(count)};
  keys_.append(word);
  ids_.insert(ids_.end(), ids, ids + count);
  ++long_count_;
}

// At most half of the table is taken: there is one.
WordCache::LongSlot* WordCache::free_place(uint64_t hash) {
  size_t at = hash >> 8 & (long_.size() - 1);
  while (long_[at].hash) at = (at + 1) & (long_.size() - 1);
  return &long_[at];
}

size_t WordCache::bytes() const {
  return entries_ * sizeof(Slot) + long_.capacity() * sizeof(LongSlot) + keys_.capacity() + ids_.capacity() * 4 + seen_.size() * 2;
}

std::unique_ptr<Scratch> ScratchPool::take() {
  if (std::unique_lock lock(mutex_, std::try_to_lock); lock && !idle_.empty()) {
    uint64_t age = policy_ ? policy_->age.load() : 0;
    if (age != age_) {
      idle_.clear();
      age_ = age;
    } else {
      auto scratch = std::move(idle_.back());
      idle_.pop_back();
      return scratch;
    }
  }
  return std::make_unique<Scratch>(policy_ ? policy_->words.load() : WordCache::kMost);
}

void ScratchPool::give(std::unique_ptr<Scratch> scratch) {
  std::unique_lock lock(mutex_, std::try_to_lock);
  if (lock && idle_.size() < kKeep) idle_.push_back(std::move(scratch));
}

}  // namespace enfold
