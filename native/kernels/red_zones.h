// Red zones: memory behind every piece that the kernels work in which nobody may touch, so that AddressSanitizer reports who
// writes or reads too far. Only in the build of `npm run test:sanitize` (DARTS_RED_ZONES); in others they have no size.
#pragma once

#include <cstddef>

#ifdef DARTS_RED_ZONES
#include <sanitizer/asan_interface.h>
#endif

namespace darts::kernels {

// Internal to each file: this header is compiled with AVX-512 switched on, and the linker keeps one copy of what is not.
#ifdef DARTS_RED_ZONES
constexpr size_t kRedZone = 64;  // floats, a multiple of a cache line's
static inline void forbid(const float* data, size_t floats) { ASAN_POISON_MEMORY_REGION(data, floats * sizeof(float)); }
static inline void allow(const float* data, size_t floats) { ASAN_UNPOISON_MEMORY_REGION(data, floats * sizeof(float)); }
#else
constexpr size_t kRedZone = 0;
static inline void forbid(const float*, size_t) {}
static inline void allow(const float*, size_t) {}
#endif

}  // namespace darts::kernels
