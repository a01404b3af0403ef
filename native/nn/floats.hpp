// Floats that are written before they are read, so that nothing sets them to zero.
#pragma once

#include <cstddef>
#include <vector>

#include "large_pages.hpp"

namespace enfold::nn {

struct FloatAllocator : LargeAllocator<float> {
  template <class Other>
  struct rebind {
    using other = FloatAllocator;
  };
  void construct(float*) {}
  void construct(float* at, float value) { *at = value; }
};
using Floats = std::vector<float, FloatAllocator>;

// Memory that calls share, one after another: new pages for each would cost as much as the products of a small layer.
inline float* at_least(Floats& memory, size_t size) {
  if (memory.size() < size) {
    memory.clear();  // nothing is copied
    memory.resize(size);
  }
  return memory.data();
}

}  // namespace enfold::nn
