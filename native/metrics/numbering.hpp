// Numbers from 0 for whatever keys come along; forgetting all of them costs nothing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace enfold::metrics {

class Numbering {
 public:
  static constexpr uint32_t none = UINT32_MAX;

  void clear() {
    count_ = 0;
    if (++epoch_ == 0) {  // slots of the first round would come alive again
      slots_.assign(slots_.size(), Slot{});
      epoch_ = 1;
    }
  }
  size_t size() const { return count_; }

  uint32_t find(uint64_t key) const {
    for (size_t at = place(key);; at = (at + 1) & mask_) {
      const Slot& slot = slots_[at];
      if (slot.epoch != epoch_) return none;
      if (slot.key == key) return slot.number;
    }
  }

  uint32_t add(uint64_t key) {
    if (count_ * 2 >= slots_.size()) grow();
    for (size_t at = place(key);; at = (at + 1) & mask_) {
      Slot& slot = slots_[at];
      if (slot.epoch != epoch_) {
        slot = {key, epoch_, uint32_t(count_++)};
        return slot.number;
      }
      if (slot.key == key) return slot.number;
    }
  }

 private:
  struct Slot {
    uint64_t key = 0;
    uint32_t epoch = 0, number = 0;
  };
  size_t place(uint64_t key) const { return size_t((key * 0x9E3779B97F4A7C15u) >> 32) & mask_; }
  void grow() {
    std::vector<Slot> old(slots_.size() * 2);
    old.swap(slots_);
    mask_ = slots_.size() - 1;
    for (const Slot& slot : old) {
      if (slot.epoch != epoch_) continue;
      size_t at = place(slot.key);
      while (slots_[at].epoch == epoch_) at = (at + 1) & mask_;
      slots_[at] = slot;
    }
  }
  std::vector<Slot> slots_ = std::vector<Slot>(1024);
  size_t mask_ = 1023, count_ = 0;
  uint32_t epoch_ = 1;
};

}  // namespace enfold::metrics
