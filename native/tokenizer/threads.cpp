#include "tokenizer/threads.hpp"

#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <exception>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace enfold {
namespace {

struct Task {
  const std::function<void(size_t)>* job;
  size_t count;
  std::atomic<size_t> next{0};
  size_t running = 0;  // helpers inside work(), under the pool's mutex
  std::mutex error_mutex{};
  std::exception_ptr error{};

  void work() {
    for (size_t i; (i = next.fetch_add(1)) < count;) {
      try {
        (*job)(i);
      } catch (...) {
        std::lock_guard lock(error_mutex);
        if (!error) error = std::current_exception();
        next = count;
      }
    }
  }
};

class Pool {
 public:
  void run(Task& task, size_t helpers) {
    {
      std::lock_guard lock(mutex_);
      for (; threads_ < helpers; ++threads_) std::thread([this] { loop(); }).detach();
      for (size_t i = 0; i < helpers; ++i) queue_.push_back(&task);
    }
    wake_.notify_all();
    task.work();
    std::unique_lock lock(mutex_);
    queue_.erase(std::remove(queue_.begin(), queue_.end(), &task), queue_.end());
    done_.wait(lock, [&] { return task.running == 0; });
  }

 private:
  void loop() {
    std::unique_lock lock(mutex_);
    for (;;) {
      wake_.wait(lock, [&] { return !queue_.empty(); });
      Task* task = queue_.back();
      queue_.pop_back();
      ++task->running;
      lock.unlock();
      task->work();
      lock.lock();
      if (--task->running == 0) done_.notify_all();
    }
  }
  std::mutex mutex_;
  std::condition_variable wake_, done_;
  std::vector<Task*> queue_;
  size_t threads_ = 0;
};

// Never destroyed: helpers sleep in it until the process ends. After a fork the child forgets it, for its threads
// and whatever they had locked stayed behind.
std::atomic<Pool*> shared_pool{nullptr};

Pool& pool() {
  Pool* current = shared_pool.load();
  if (current) return *current;
  static std::atomic<bool> registered{false};
  if (!registered.exchange(true)) pthread_atfork(nullptr, nullptr, [] { shared_pool.store(nullptr); });
  Pool* made = new Pool;
  if (!shared_pool.compare_exchange_strong(current, made)) {
    delete made;
    return *current;
  }
  return *made;
}

}  // namespace

size_t thread_count() {
  if (const char* setting = std::getenv("TOKENIZERS_PARALLELISM")) {
    std::string value(setting);
    std::transform(value.begin(), value.end(), value.begin(), [](unsigned char c) { return std::tolower(c); });
    for (const char* off : {"", "off", "false", "f", "no", "n", "0"})
      if (value == off) return 1;
  }
  if (const char* setting = std::getenv("RAYON_NUM_THREADS")) {
    long wanted = std::strtol(setting, nullptr, 10);
    if (wanted > 0) return size_t(std::min(wanted, 256L));
  }
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) return size_t(std::max(1, CPU_COUNT(&set)));
  return std::max(1u, std::thread::hardware_concurrency());
}

void parallel(size_t count, size_t threads, const std::function<void(size_t)>& job) {
  size_t helpers = std::min(count, threads);
  if (helpers < 2) {
    for (size_t i = 0; i < count; ++i) job(i);
    return;
  }
  Task task{&job, count};
  pool().run(task, helpers - 1);
  if (task.error) std::rethrow_exception(task.error);
}

}  // namespace enfold
