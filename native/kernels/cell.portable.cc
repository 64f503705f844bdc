// The kernels for any machine.
#define DARTS_ISA portable
#include "executor.h"
