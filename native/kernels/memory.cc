#include "memory.h"

#include "../memory_count.h"
#include "red_zones.h"

#include <ATen/ATen.h>
#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>
#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <iterator>
#include <list>
#include <map>
#include <mutex>
#include <unordered_map>

namespace darts::kernels {
namespace {

constexpr int64_t kLine = 16;  // floats of a cache line: all pieces begin on one

// Smaller tensors are the C library's. Larger ones it would give back to the system time and again, and making their pages
// anew took a fifth of the time that an image takes in inference.
constexpr size_t kSmall = size_t{1} << 16;  // bytes

// Memory, and where it is free: floats of each gap by its first. Gaps never touch. It is mapped for itself alone: among
// the C library's other blocks slabs that come and go would leave holes, a tenth and more of a training's memory.
struct Slab {
  float* memory;
  int64_t floats;
  std::map<int64_t, int64_t> gaps;

  bool free() const { return !gaps.empty() && gaps.begin()->second == floats; }
};

float* mapped(int64_t floats) {
  const size_t bytes = static_cast<size_t>(floats) * sizeof(float);
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  TORCH_CHECK(memory != MAP_FAILED, "not enough memory: tried to allocate ", bytes, " bytes");
  forbid(static_cast<float*>(memory), floats);
  return static_cast<float*>(memory);
}

void unmap(const Slab& slab) {
  allow(slab.memory, slab.floats);
  munmap(slab.memory, static_cast<size_t>(slab.floats) * sizeof(float));
}

struct Piece {
  std::list<Slab>::iterator slab;
  int64_t first, floats;

  float* data() const { return slab->memory + first; }
};

// A step asks for pieces of the same sizes as the last one, and backward for small ones where forward has had large ones:
// each comes from the smallest gap that holds it, and only what fits in none needs a slab of its own.
class Pool {
 public:
  float* take(int64_t wanted) {
    std::lock_guard<std::mutex> lock(mutex_);
    const int64_t floats = (std::max<int64_t>(wanted, 1) + kLine - 1) / kLine * kLine + static_cast<int64_t>(kRedZone);
    Piece piece = smallestGap(floats);
    if (piece.slab == slabs_.end()) piece = newSlab(floats);
    auto& gaps = piece.slab->gaps;
    const auto gap = gaps.find(piece.first);
    const int64_t left = gap->second - floats;
    gaps.erase(gap);
    if (left > 0) gaps.emplace(piece.first + floats, left);
    used_ += floats;
    peak_ = std::max(peak_, used_);
    piece.floats = floats;
    allow(piece.data(), wanted);
    pieces_.emplace(piece.data(), piece);
    countPiece(piece.data(), static_cast<size_t>(floats) * sizeof(float));
    return piece.data();
  }

  // Whether it was the pool's.
  bool giveBack(void* data) {
    std::lock_guard<std::mutex> lock(mutex_);
    const auto found = pieces_.find(data);
    if (found == pieces_.end()) return false;
    const Piece piece = found->second;
    pieces_.erase(found);
    uncountPiece(data);
    used_ -= piece.floats;
    forbid(piece.data(), piece.floats);
    auto& gaps = piece.slab->gaps;
    auto gap = gaps.emplace(piece.first, piece.floats).first;
    const auto after = std::next(gap);
    if (after != gaps.end() && after->first == gap->first + gap->second) {
      gap->second += after->second;
      gaps.erase(after);
    }
    if (gap == gaps.begin()) return true;
    const auto before = std::prev(gap);
    if (before->first + before->second != gap->first) return true;
    before->second += gap->second;
    gaps.erase(gap);
    return true;
  }

  int64_t release() {
    std::lock_guard<std::mutex> lock(mutex_);
    const int64_t before = total_;
    freeSlabs(0);
    peak_ = used_;
    return (before - total_) * static_cast<int64_t>(sizeof(float));
  }

 private:
  Piece smallestGap(int64_t floats) {
    Piece best{slabs_.end(), 0, 0};
    for (auto slab = slabs_.begin(); slab != slabs_.end(); ++slab)
      for (const auto& [first, size] : slab->gaps)
        if (size >= floats && (best.slab == slabs_.end() || size < best.floats)) best = {slab, first, size};
    return best;
  }

  Piece newSlab(int64_t floats) {
    freeSlabs(std::max(peak_, used_ + floats) / 8 * 9 - floats);
    slabs_.push_back({mapped(floats), floats, {{0, floats}}});
    total_ += floats;
    return {std::prev(slabs_.end()), 0, floats};
  }

  // Frees slabs until `most` floats are left, the oldest first: those of shapes that are no longer asked for.
  void freeSlabs(int64_t most) {
    for (auto slab = slabs_.begin(); slab != slabs_.end() && total_ > most;) {
      if (!slab->free()) {
        ++slab;
        continue;
      }
      total_ -= slab->floats;
      unmap(*slab);
      slab = slabs_.erase(slab);
    }
  }

  std::mutex mutex_;
  std::list<Slab> slabs_;
  std::unordered_map<const void*, Piece> pieces_;
  int64_t total_ = 0, used_ = 0, peak_ = 0;  // floats
};

Pool& pool() {
  // Never destroyed: tensors may be freed after the statics of this library.
  static Pool* one = new Pool();
  return *one;
}

// The pool of memory that is given back before the call that took it returns. Apart: what lasts longer would come to lie in
// its gaps between two calls, and then the next call would find no room where the last one had it.
Pool& passing() {
  static Pool* one = new Pool();
  return *one;
}

// Where small tensors get their memory from.
std::atomic<c10::Allocator*>& below() {
  static std::atomic<c10::Allocator*> one{c10::GetCPUAllocator()};
  return one;
}

// Of a tensor's memory, wherever it comes from.
void freeMemory(void* data) {
  if (!pool().giveBack(data)) below().load()->raw_deleter()(data);
}

// `allocate` is const in libtorch 1.13 and not in later 2.x: both are here, and one of them is the virtual one.
// `copy_data` came with 2.2. oneDNN's operators ask for memory without a context: it is known by its address.
struct PooledAllocator : c10::Allocator {
  at::DataPtr allocate(size_t bytes) const { return take(bytes); }
  at::DataPtr allocate(size_t bytes) { return take(bytes); }
  c10::DeleterFnPtr raw_deleter() const { return &freeMemory; }
  void copy_data(void* to, const void* from, size_t bytes) const { std::memcpy(to, from, bytes); }

 private:
  static at::DataPtr take(size_t bytes) {
    if (bytes < kSmall) return below().load()->allocate(bytes);
    float* data = pool().take(static_cast<int64_t>((bytes + sizeof(float) - 1) / sizeof(float)));
    return {data, data, &freeMemory, at::DeviceType::CPU};
  }
};

// In front of libtorch's own from the moment that this library is loaded, for as long as the process lives.
[[maybe_unused]] const bool installed = [] {
  below();  // knows libtorch's own before it is replaced
  c10::SetCPUAllocator(new PooledAllocator());
  return true;
}();

}  // namespace

c10::Allocator* exchangeAllocatorBelow(c10::Allocator* allocator) { return below().exchange(allocator); }

at::Tensor borrowForCall(size_t floats) {
  const auto count = static_cast<int64_t>(floats);
  return at::from_blob(passing().take(count), count, [](void* data) { passing().giveBack(data); }, at::kFloat);
}

at::Tensor dense(const at::Tensor& blocks) {
  const at::Tensor tensor = blocks.contiguous();
  constexpr uintptr_t kAlignment = 64;
  return reinterpret_cast<uintptr_t>(tensor.data_ptr<float>()) % kAlignment == 0 ? tensor : tensor.clone();
}

int64_t releaseMemory() { return pool().release() + passing().release(); }

}  // namespace darts::kernels
