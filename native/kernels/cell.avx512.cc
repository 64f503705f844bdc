// The kernels for AVX-512 (compiled with its flags: see src/native/build.ts).
#if defined(__x86_64__)
#define DARTS_ISA avx512
#include "executor.h"
#endif
