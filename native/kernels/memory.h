// Memory of the kernels: blocks that are used again, because fresh pages cost as much time as the arithmetic.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace darts::kernels {

// A tensor of `floats` numbers, not initialised. Its block goes back to the free ones with the tensor. All blocks
// together are at most a quarter more than what was in use at one time.
at::Tensor borrow(size_t floats);
at::Tensor borrow(at::IntArrayRef sizes);

// Images in blocks as the kernels read them: contiguous, and on the boundary of a register; a copy if they are not.
at::Tensor dense(const at::Tensor& blocks);

// Frees the blocks that are not in use; returns their bytes.
int64_t releaseMemory();

}  // namespace darts::kernels
