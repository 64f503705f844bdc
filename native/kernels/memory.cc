#include "memory.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <iterator>
#include <list>
#include <map>
#include <mutex>

namespace darts::kernels {
namespace {

constexpr int64_t kLine = 16;  // floats of a cache line: all pieces begin on one

// Memory from libtorch, and where it is free: floats of each gap by its first. Gaps never touch.
struct Slab {
  at::Tensor memory;
  std::map<int64_t, int64_t> gaps;

  bool free() const { return !gaps.empty() && gaps.begin()->second == memory.numel(); }
};

struct Piece {
  std::list<Slab>::iterator slab;
  int64_t first, floats;

  float* data() const { return slab->memory.data_ptr<float>() + first; }
};

// A pass asks for pieces of the same sizes as the last one, and backward for small ones where forward has had large ones:
// each comes from the smallest gap that holds it, and only what fits in none needs a slab of its own.
class Pool {
 public:
  Piece take(int64_t wanted) {
    std::lock_guard<std::mutex> lock(mutex_);
    const int64_t floats = (std::max<int64_t>(wanted, 1) + kLine - 1) / kLine * kLine;
    Piece piece = smallestGap(floats);
    if (piece.slab == slabs_.end()) piece = newSlab(floats);
    auto& gaps = piece.slab->gaps;
    const auto gap = gaps.find(piece.first);
    const int64_t left = gap->second - floats;
    gaps.erase(gap);
    if (left > 0) gaps.emplace(piece.first + floats, left);
    used_ += floats;
    peak_ = std::max(peak_, used_);
    return {piece.slab, piece.first, floats};
  }

  void giveBack(const Piece& piece) {
    std::lock_guard<std::mutex> lock(mutex_);
    used_ -= piece.floats;
    auto& gaps = piece.slab->gaps;
    auto gap = gaps.emplace(piece.first, piece.floats).first;
    const auto after = std::next(gap);
    if (after != gaps.end() && after->first == gap->first + gap->second) {
      gap->second += after->second;
      gaps.erase(after);
    }
    if (gap == gaps.begin()) return;
    const auto before = std::prev(gap);
    if (before->first + before->second != gap->first) return;
    before->second += gap->second;
    gaps.erase(gap);
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
    slabs_.push_back({at::empty({floats}, at::kFloat), {{0, floats}}});
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
      total_ -= slab->memory.numel();
      slab = slabs_.erase(slab);
    }
  }

  std::mutex mutex_;
  std::list<Slab> slabs_;
  int64_t total_ = 0, used_ = 0, peak_ = 0;  // floats
};

Pool& pool() {
  // Never destroyed: tensors may be freed after the statics of this library.
  static Pool* one = new Pool();
  return *one;
}

}  // namespace

at::Tensor borrow(size_t floats) {
  const auto count = static_cast<int64_t>(floats);
  return borrow(at::IntArrayRef(count));
}

at::Tensor borrow(at::IntArrayRef sizes) {
  const Piece piece = pool().take(c10::multiply_integers(sizes));
  return at::from_blob(piece.data(), sizes, [piece](void*) { pool().giveBack(piece); }, at::kFloat);
}

at::Tensor dense(const at::Tensor& blocks) {
  const at::Tensor tensor = blocks.contiguous();
  constexpr uintptr_t kAlignment = 64;
  return reinterpret_cast<uintptr_t>(tensor.data_ptr<float>()) % kAlignment == 0 ? tensor : tensor.clone();
}

int64_t releaseMemory() { return pool().release(); }

}  // namespace darts::kernels
