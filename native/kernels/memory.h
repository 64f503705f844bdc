// Memory of the kernels: one pool of it for all cells, used again, because fresh pages cost as much time as the arithmetic.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace darts::kernels {

// A tensor of `floats` numbers, not initialised. Its place is free again with the tensor. What lies free is at most an
// eighth of what was in use at one time, as far as it lies together.
at::Tensor borrow(size_t floats);
at::Tensor borrow(at::IntArrayRef sizes);

// Images in blocks as the kernels read them: contiguous, and on the boundary of a register; a copy if they are not.
at::Tensor dense(const at::Tensor& blocks);

// Frees the blocks that are not in use; returns their bytes.
int64_t releaseMemory();

}  // namespace darts::kernels
