#include "nn/chunks.hpp"

#include <algorithm>
#include <mutex>

#include "large_pages.hpp"

namespace enfold::nn {
namespace {

constexpr size_t kChunk = size_t(32) << 20, kLine = 64;

struct Chunk {
  explicit Chunk(size_t size) : bytes(size), memory(static_cast<std::byte*>(allocate_large(size))) {}
  ~Chunk() { free_large(memory, bytes); }
  Chunk(const Chunk&) = delete;
  Chunk& operator=(const Chunk&) = delete;
  size_t bytes, used = 0;
  std::byte* memory;
};

}  // namespace

std::shared_ptr<std::byte> lent_bytes(size_t bytes) {
  static std::mutex& mutex = *new std::mutex;  // weights may outlive what is destroyed at the end of the process
  static std::weak_ptr<Chunk>& open = *new std::weak_ptr<Chunk>;
  bytes = (bytes + kLine - 1) / kLine * kLine;
  std::lock_guard lock(mutex);
  std::shared_ptr<Chunk> chunk = open.lock();
  if (!chunk || chunk->bytes - chunk->used < bytes) {
    chunk = std::make_shared<Chunk>(std::max(kChunk, (bytes + kLargePage - 1) / kLargePage * kLargePage));
    open = chunk;
  }
  std::byte* at = chunk->memory + chunk->used;
  chunk->used += bytes;
  return {std::move(chunk), at};
}

}  // namespace enfold::nn
