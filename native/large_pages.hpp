// Memory for large tables, on large pages where the system has them: fewer of them to fault in, and to find again.
#pragma once

#include <cstddef>
#include <new>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace enfold {

inline constexpr size_t kLargePage = size_t(2) << 20;

// Memory that nothing has touched yet.
inline void* allocate_large(size_t bytes) {
  if (bytes < kLargePage) return ::operator new(bytes, std::align_val_t(64));
  void* made = ::operator new(bytes, std::align_val_t(kLargePage));
#if defined(__linux__)
  madvise(made, bytes, MADV_HUGEPAGE);
#endif
  return made;
}

inline void free_large(void* memory, size_t bytes) {
  ::operator delete(memory, std::align_val_t(bytes < kLargePage ? 64 : kLargePage));
}

// The same for containers.
template <class T>
struct LargeAllocator {
  using value_type = T;
  LargeAllocator() = default;
  template <class Other>
  LargeAllocator(const LargeAllocator<Other>&) {}
  T* allocate(size_t count) { return static_cast<T*>(allocate_large(count * sizeof(T))); }
  void deallocate(T* memory, size_t count) { free_large(memory, count * sizeof(T)); }
  bool operator==(const LargeAllocator&) const = default;
};

}  // namespace enfold
