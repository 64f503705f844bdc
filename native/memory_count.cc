// Counts the bytes that tensors on the CPU take while a rehearsal runs: libtorch's allocator with a tally before it, below the
// pool, which tells of its own pieces. It stands there only between start and stop, so that ordinary steps pay nothing.
// What lies free in the pool is not counted: unlike tensors it does not grow in proportion to the images.
#include "memory_count.h"

#include "kernels/memory.h"

#include <c10/core/Allocator.h>
#include <torch/library.h>

#if defined(__GLIBC__)
#include <malloc.h>
#endif

#include <algorithm>
#include <cstring>
#include <mutex>
#include <tuple>
#include <unordered_map>
#include <utility>

namespace darts {
namespace {

// The largest number of bytes at one time, and how many of them were in the pool.
struct Peak {
  int64_t bytes = 0, pooled = 0;
};

class Tally {
 public:
  void add(void* data, size_t bytes, bool pooled) {
    std::lock_guard<std::mutex> lock(mutex_);
    blocks_[data] = {static_cast<int64_t>(bytes), pooled};
    live_ += static_cast<int64_t>(bytes);
    if (pooled) pooled_ += static_cast<int64_t>(bytes);
    if (live_ > peak_.bytes) peak_ = {live_, pooled_};
  }

  void remove(void* data) {
    std::lock_guard<std::mutex> lock(mutex_);
    const auto found = blocks_.find(data);
    if (found == blocks_.end()) return;
    live_ -= found->second.bytes;
    if (found->second.pooled) pooled_ -= found->second.bytes;
    blocks_.erase(found);
  }

  void restart() {
    std::lock_guard<std::mutex> lock(mutex_);
    blocks_.clear();
    live_ = pooled_ = 0;
    peak_ = {};
  }

  Peak peak() {
    std::lock_guard<std::mutex> lock(mutex_);
    return peak_;
  }

 private:
  struct Block {
    int64_t bytes;
    bool pooled;
  };
  std::mutex mutex_;
  std::unordered_map<void*, Block> blocks_;
  int64_t live_ = 0, pooled_ = 0;  // all bytes, and those in the pool
  Peak peak_;
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
    tally().add(data.get(), bytes, false);
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

std::tuple<int64_t, int64_t> stopCounting() {
  if (!counted) return {0, 0};
  kernels::exchangeAllocatorBelow(std::exchange(counted, nullptr));
  const Peak peak = tally().peak();
  return {peak.bytes, peak.pooled};
}

}  // namespace

void countPiece(void* data, size_t bytes) {
  if (counted) tally().add(data, bytes, true);
}

void uncountPiece(void* data) {
  if (counted) tally().remove(data);
}

namespace {

// Gives the pages of freed memory back to the system, where the C library can: a rehearsal must not count in the run.
bool trimHeap() {
#if defined(__GLIBC__)
  return malloc_trim(0) == 1;
#else
  return false;
#endif
}

}  // namespace

// start_counting() is false when something counts already; stop_counting() gives the largest number of bytes that were alive
// at one time since, of tensors made since, and those of them that were in the pool; trim_heap() is whether pages went
// back.
TORCH_LIBRARY_FRAGMENT(darts, library) {
  library.def("start_counting() -> bool", startCounting);
  library.def("stop_counting() -> (int, int)", stopCounting);
  library.def("trim_heap() -> bool", trimHeap);
}

}  // namespace darts
