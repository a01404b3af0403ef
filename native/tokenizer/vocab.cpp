#include "tokenizer/vocab.hpp"

#include <algorithm>
#include <stdexcept>

namespace enfold {

void Vocab::grow(size_t slots) {
  slots_.assign(slots, 0);
  mask_ = slots - 1;
  for (size_t i = 0; i < entries_.size(); ++i) {
    size_t at = hash_bytes(view(uint32_t(i))) & mask_;
    while (slots_[at]) at = (at + 1) & mask_;
    slots_[at] = uint32_t(i + 1);
  }
}

void Vocab::reserve(size_t count) {
  entries_.reserve(count);
  by_id_.reserve(count);
  arena_.reserve(count * 8);
  grow(std::bit_ceil(count * 2 + 16));
}

void Vocab::add(std::string_view token, uint32_t id, bool alias) {
  if (id >= 1u << 27) throw std::invalid_argument("token id " + std::to_string(id) + " is too large");
  if (slots_.size() < (entries_.size() + 1) * 2) grow(std::bit_ceil((entries_.size() + 1) * 4));
  if (by_id_.size() <= id) by_id_.resize(size_t(id) + 1);
  size_t at = hash_bytes(token) & mask_;
  for (; slots_[at]; at = (at + 1) & mask_) {
    if (view(slots_[at] - 1) != token) continue;
    uint32_t& known = entries_[slots_[at] - 1].id;
    if (!alias && by_id_[known] == slots_[at]) by_id_[known] = 0;
    known = id;
    by_id_[id] = slots_[at];
    return;
  }
  entries_.push_back({uint32_t(arena_.size()), uint32_t(token.size()), id});
  arena_.append(token);
  longest_ = std::max(longest_, token.size());
  slots_[at] = by_id_[id] = uint32_t(entries_.size());
}

void Vocab::prefetch(const std::string_view* words, size_t count) const {
  constexpr size_t kBlock = 32;
  size_t places[kBlock];
  if (slots_.empty()) return;
  for (size_t begin = 0; begin < count; begin += kBlock) {
    size_t block = std::min(count - begin, kBlock);
    for (size_t i = 0; i < block; ++i) __builtin_prefetch(&slots_[places[i] = hash_bytes(words[begin + i]) & mask_]);
    for (size_t i = 0; i < block; ++i)
      if (uint32_t slot = slots_[places[i]]) __builtin_prefetch(&entries_[slot - 1]);
    for (size_t i = 0; i < block; ++i)
      if (uint32_t slot = slots_[places[i]]) __builtin_prefetch(arena_.data() + entries_[slot - 1].offset);
  }
}

void Vocab::find_many(const std::string_view* words, size_t count, int32_t* ids) const {
  constexpr size_t kBlock = 32;
  size_t places[kBlock];
  if (slots_.empty()) return void(std::fill_n(ids, count, -1));
  for (; count; words += std::min(count, kBlock), ids += std::min(count, kBlock), count -= std::min(count, kBlock)) {
    size_t block = std::min(count, kBlock);
    for (size_t i = 0; i < block; ++i) __builtin_prefetch(&slots_[places[i] = hash_bytes(words[i]) & mask_]);
    for (size_t i = 0; i < block; ++i)
      if (uint32_t slot = slots_[places[i]]) __builtin_prefetch(&entries_[slot - 1]);
    for (size_t i = 0; i < block; ++i)
      if (uint32_t slot = slots_[places[i]]) __builtin_prefetch(arena_.data() + entries_[slot - 1].offset);
    for (size_t i = 0; i < block; ++i) {
      ids[i] = -1;
      for (size_t at = places[i]; slots_[at]; at = (at + 1) & mask_) {
        const Entry& entry = entries_[slots_[at] - 1];
        if (entry.length != words[i].size() || std::memcmp(arena_.data() + entry.offset, words[i].data(), entry.length) != 0) continue;
        ids[i] = int32_t(entry.id);
        break;
      }
    }
  }
}

void MergeTable::reserve(size_t count) {
  std::vector<Slot, LargeAllocator<Slot>> old(std::bit_ceil(count * 2 + 2));
  old.swap(slots_);
  mask_ = slots_.size() - 1;
  size_t bits = std::max<size_t>(64, slots_.size() * 8);
  filter_.assign(bits / 64, 0);
  shift_ = 64 - std::countr_zero(bits);
  count_ = 0;
  for (const Slot& slot : old)
    if (slot.key != kEmpty) add(uint32_t(slot.key >> 32), uint32_t(slot.key), slot.merge);
}

void MergeTable::add(uint32_t left, uint32_t right, Merge merge) {
  if ((count_ + 1) * 2 > slots_.size()) reserve(slots_.size());
  uint64_t key = uint64_t(left) << 32 | right;
  uint64_t hash = mix(key, 0x9E3779B97F4A7C15), bit = hash >> shift_;
  filter_[bit >> 6] |= uint64_t(1) << (bit & 63);
  size_t at = hash & mask_;
  while (slots_[at].key != kEmpty && slots_[at].key != key) at = (at + 1) & mask_;
  count_ += slots_[at].key == kEmpty;
  slots_[at] = {key, merge};
}

}  // namespace enfold
