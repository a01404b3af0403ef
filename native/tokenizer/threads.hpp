// Threads for batches. They are started when first needed and survive a fork (the child starts its own).
#pragma once

#include <cstddef>
#include <functional>

namespace enfold {

// How many threads a batch may use: RAYON_NUM_THREADS or the processors at hand; 1 when TOKENIZERS_PARALLELISM is off.
size_t thread_count();

// Calls job(i) for every i below `count`, on up to `threads` threads, the caller's among them; returns when all are done.
// The first exception is thrown again here.
void parallel(size_t count, size_t threads, const std::function<void(size_t)>& job);

}  // namespace enfold
