// Memory for weights that are made for a loop, dropped, and made again for the next one.
#pragma once

#include <cstddef>

namespace enfold::nn {

// Floats that nothing has set. What is given back is lent again to the next who wants as many; till then the system may
// take its pages for others. Fresh pages cost more than the transform that fills them, on virtual machines ten times more.
class LentFloats {
 public:
  explicit LentFloats(size_t count);
  ~LentFloats();
  LentFloats(const LentFloats&) = delete;
  LentFloats& operator=(const LentFloats&) = delete;
  float* data() { return data_; }
  const float* data() const { return data_; }
  size_t size() const { return count_; }

 private:
  size_t count_;
  float* data_;
};

}  // namespace enfold::nn
