// The kernels for AVX2 and FMA (compiled with their flags: see src/native/build.ts).
#if defined(__x86_64__)
#define DARTS_ISA avx2
#include "executor.h"
#endif
