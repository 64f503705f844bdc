#include "memory.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <mutex>
#include <utility>
#include <vector>

namespace darts::kernels {
namespace {

class Blocks {
 public:
  at::Tensor take(int64_t floats) {
    std::lock_guard<std::mutex> lock(mutex_);
    // The smallest one that is large enough, unless it is much too large.
    size_t best = free_.size();
    for (size_t i = 0; i < free_.size(); i++) {
      const int64_t size = free_[i].numel();
      if (size >= floats && size <= floats + floats / 2 && (best == free_.size() || size < free_[best].numel())) best = i;
    }
    at::Tensor block;
    if (best < free_.size()) {
      block = std::move(free_[best]);
      free_.erase(free_.begin() + static_cast<std::ptrdiff_t>(best));
      freeFloats_ -= block.numel();
    } else {
      // The oldest ones go first: those of shapes that are no longer asked for.
      const int64_t wanted = usedFloats_ + floats, most = std::max(peak_, wanted) / 4 * 5;
      while (!free_.empty() && freeFloats_ + wanted > most) {
        freeFloats_ -= free_.front().numel();
        free_.erase(free_.begin());
      }
      block = at::empty({floats}, at::kFloat);
    }
    usedFloats_ += block.numel();
    peak_ = std::max(peak_, usedFloats_);
    return block;
  }

  void giveBack(at::Tensor block) {
    std::lock_guard<std::mutex> lock(mutex_);
    usedFloats_ -= block.numel();
    freeFloats_ += block.numel();
    free_.push_back(std::move(block));
  }

  int64_t release() {
    std::lock_guard<std::mutex> lock(mutex_);
    const int64_t bytes = freeFloats_ * static_cast<int64_t>(sizeof(float));
    free_.clear();
    freeFloats_ = 0;
    peak_ = usedFloats_;
    return bytes;
  }

 private:
  std::mutex mutex_;
  std::vector<at::Tensor> free_;
  int64_t freeFloats_ = 0, usedFloats_ = 0, peak_ = 0;
};

Blocks& blocks() {
  // Never destroyed: tensors may be freed after the statics of this library.
  static Blocks* all = new Blocks();
  return *all;
}

}  // namespace

at::Tensor borrow(size_t floats) {
  const auto count = static_cast<int64_t>(std::max<size_t>(floats, 1));
  return borrow(at::IntArrayRef(count));
}

at::Tensor borrow(at::IntArrayRef sizes) {
  at::Tensor block = blocks().take(c10::multiply_integers(sizes));
  void* data = block.data_ptr();
  return at::from_blob(data, sizes, [block](void*) mutable { blocks().giveBack(std::move(block)); }, at::kFloat);
}

at::Tensor dense(const at::Tensor& blocks) {
  const at::Tensor tensor = blocks.contiguous();
  constexpr uintptr_t kAlignment = 64;
  return reinterpret_cast<uintptr_t>(tensor.data_ptr<float>()) % kAlignment == 0 ? tensor : tensor.clone();
}

int64_t releaseMemory() { return blocks().release(); }

}  // namespace darts::kernels
