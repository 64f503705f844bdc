// One pool of memory for all large tensors on the CPU, those of the kernels and libtorch's own, used again from step to step:
// fresh pages cost as much time as the arithmetic. Loading this library puts it in front of libtorch's allocator. What lies
// free is at most an eighth of what was in use at one time, as far as it lies together.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace c10 {
struct Allocator;
}

namespace darts::kernels {

// Where small tensors get their memory from: libtorch's allocator, unless another one is put there. Returns the one before.
c10::Allocator* exchangeAllocatorBelow(c10::Allocator* allocator);

// `floats` numbers, not initialised, for memory that the caller gives back before it returns.
at::Tensor borrowForCall(size_t floats);

// Images in blocks as the kernels read them: contiguous, and on the boundary of a register; a copy if they are not.
at::Tensor dense(const at::Tensor& blocks);

// Frees the memory that is not in use; returns its bytes.
int64_t releaseMemory();

}  // namespace darts::kernels
