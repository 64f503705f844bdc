// How many threads the kernels compute on. Apart from the threads themselves, which need nothing of libtorch.
#include "threads.h"

#include <ATen/Parallel.h>

#include <atomic>

namespace darts::kernels {
namespace {

std::atomic<int> ownCount{0};

}  // namespace

int threadCount() {
  const int own = ownCount.load(std::memory_order_relaxed);
  return own > 0 ? own : at::get_num_threads();
}

void setThreadCount(int threads) { ownCount.store(threads, std::memory_order_relaxed); }

}  // namespace darts::kernels
