// The kernels' slabs of memory, which are not libtorch's: a count of memory is told of them. See memory_count.cc.
#pragma once

#include <cstddef>

namespace darts {

// A new slab: counted from now on, while something counts.
void countSlab(void* data, size_t bytes);
// The slab is freed.
void uncountSlab(void* data);

}  // namespace darts
