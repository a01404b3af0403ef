#include "nn/lent.hpp"

#include <algorithm>
#include <deque>
#include <mutex>

#include "large_pages.hpp"

namespace enfold::nn {
namespace {

constexpr size_t kMost = size_t(4) << 30;  // of addresses that are held for later; the oldest go first

struct Block {
  void* memory;
  size_t bytes;
};

struct Spare {
  std::mutex mutex{};
  std::deque<Block> blocks{};
  size_t bytes = 0;
};

Spare& spare() {
  static Spare& shared = *new Spare;  // weights may outlive what is destroyed at the end of the process
  return shared;
}

// Whole pages where there is more than one, so that the system can take each of them; less than that is not held.
size_t whole(size_t count) {
  size_t bytes = count * sizeof(float);
  return bytes < kLargePage ? bytes : (bytes + kLargePage - 1) / kLargePage * kLargePage;
}

}  // namespace

LentFloats::LentFloats(size_t count) : count_(count) {
  size_t bytes = whole(count);
  if (bytes >= kLargePage) {
    std::lock_guard lock(spare().mutex);
    auto& blocks = spare().blocks;
    auto found = std::find_if(blocks.rbegin(), blocks.rend(), [&](const Block& block) { return block.bytes == bytes; });
    if (found != blocks.rend()) {
      data_ = static_cast<float*>(found->memory);
      blocks.erase(std::next(found).base());
      spare().bytes -= bytes;
      return;
    }
  }
  data_ = static_cast<float*>(allocate_large(bytes));
}

LentFloats::~LentFloats() {
  Block block{data_, whole(count_)};
#if defined(MADV_FREE)
  if (block.bytes >= kLargePage && block.bytes <= kMost && madvise(block.memory, block.bytes, MADV_FREE) == 0) {
    std::lock_guard lock(spare().mutex);
    auto& blocks = spare().blocks;
    for (; spare().bytes + block.bytes > kMost; blocks.pop_front()) {
      free_large(blocks.front().memory, blocks.front().bytes);
      spare().bytes -= blocks.front().bytes;
    }
    blocks.push_back(block);
    spare().bytes += block.bytes;
    return;
  }
#endif
  free_large(block.memory, block.bytes);
}

}  // namespace enfold::nn
