// Counts the bytes that tensors on the CPU take while a rehearsal runs, with what lies free in their pool: libtorch's
// allocator with a tally before it, below the pool. It stands there only between start and stop, so that ordinary steps pay
// nothing.
#include "kernels/memory.h"

#include <c10/core/Allocator.h>
#include <torch/library.h>

#if defined(__GLIBC__)
#include <malloc.h>
#endif

#include <algorithm>
#include <cstring>
#include <mutex>
#include <unordered_map>
#include <utility>

namespace darts {
namespace {

class Tally {
 public:
  void add(void* data, size_t bytes) {
    std::lock_guard<std::mutex> lock(mutex_);
    sizes_[data] = bytes;
    live_ += static_cast<int64_t>(bytes);
    peak_ = std::max(peak_, live_);
  }

  void remove(void* data) {
    std::lock_guard<std::mutex> lock(mutex_);
    const auto found = sizes_.find(data);
    if (found == sizes_.end()) return;
    live_ -= static_cast<int64_t>(found->second);
    sizes_.erase(found);
  }

  void restart() {
    std::lock_guard<std::mutex> lock(mutex_);
    sizes_.clear();
    live_ = peak_ = 0;
  }

  int64_t peak() {
    std::lock_guard<std::mutex> lock(mutex_);
    return peak_;
  }

 private:
  std::mutex mutex_;
  std::unordered_map<void*, size_t> sizes_;
  int64_t live_ = 0, peak_ = 0;
};

// Never destroyed: tensors may be freed after the statics of this library.
Tally& tally() {
  static Tally* one = new Tally();
  return *one;
}

c10::Allocator* counted = nullptr;  // the allocator behind the tally while it counts
c10::DeleterFnPtr freeCounted = nullptr;

void removeAndFree(void* data) {
  tally().remove(data);
  freeCounted(data);
}

// `allocate` is const in libtorch 1.13 and not in later 2.x: both are here, and one of them is the virtual one.
// `copy_data` came with 2.2.
struct CountingAllocator : c10::Allocator {
  at::DataPtr allocate(size_t bytes) const { return count(counted->allocate(bytes), bytes); }
  at::DataPtr allocate(size_t bytes) { return count(counted->allocate(bytes), bytes); }
  c10::DeleterFnPtr raw_deleter() const { return &removeAndFree; }
  void copy_data(void* to, const void* from, size_t bytes) const { std::memcpy(to, from, bytes); }

 private:
  static at::DataPtr count(at::DataPtr data, size_t bytes) {
    if (!data.get() || !data.compare_exchange_deleter(freeCounted, &removeAndFree)) return data;
    tally().add(data.get(), bytes);
    return data;
  }
};

bool startCounting() {
  static CountingAllocator* allocator = new CountingAllocator();
  if (counted) return false;
  tally().restart();
  counted = kernels::exchangeAllocatorBelow(allocator);
  freeCounted = counted->raw_deleter();
  if (freeCounted) return true;
  kernels::exchangeAllocatorBelow(std::exchange(counted, nullptr));
  return false;
}

int64_t stopCounting() {
  if (!counted) return 0;
  kernels::exchangeAllocatorBelow(std::exchange(counted, nullptr));
  return tally().peak();
}

// Gives the pages of freed memory back to the system, where the C library can: a rehearsal must not count in the run.
bool trimHeap() {
#if defined(__GLIBC__)
  return malloc_trim(0) == 1;
#else
  return false;
#endif
}

}  // namespace

// start_counting() is false when something counts already; stop_counting() gives the largest number of bytes that
// were alive at one time since, of tensors made since; trim_heap() is whether pages went back.
TORCH_LIBRARY_FRAGMENT(darts, library) {
  library.def("start_counting() -> bool", startCounting);
  library.def("stop_counting() -> int", stopCounting);
  library.def("trim_heap() -> bool", trimHeap);
}

}  // namespace darts
