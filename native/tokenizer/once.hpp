// A value made when it is first asked for.
#pragma once

#include <atomic>

namespace enfold {

// Threads that come at the same time may each make one, of which the first stays: so there is no lock that a fork could
// leave taken.
template <class T>
class Once {
 public:
  ~Once() { delete made_.load(); }
  template <class Make>
  const T& get(Make make) {
    if (const T* made = made_.load(std::memory_order_acquire)) return *made;
    const T *fresh = new T(make()), *before = nullptr;
    if (made_.compare_exchange_strong(before, fresh, std::memory_order_acq_rel)) return *fresh;
    delete fresh;
    return *before;
  }

 private:
  std::atomic<const T*> made_{nullptr};
};

}  // namespace enfold
