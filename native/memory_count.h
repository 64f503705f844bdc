// Tensors in the pool of memory, which are not the C library's: a count of memory is told of them. See memory_count.cc.
#pragma once

#include <cstddef>

namespace darts {

// A new piece of the pool: counted from now on, while something counts.
void countPiece(void* data, size_t bytes);
// The piece is given back.
void uncountPiece(void* data);

}  // namespace darts
