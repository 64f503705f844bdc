// Chooses the build of the kernels for this machine.
#include "cell.h"

#include <cstdlib>
#include <stdexcept>
#include <string>

namespace darts::kernels {
namespace {

struct Build {
  const Kernels* kernels;
  bool runs;
};

const Kernels& choose() {
#if defined(__x86_64__)
  const bool has512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
                      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
  const bool has2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  const Build builds[] = {{&avx512::kernels, has512}, {&avx2::kernels, has2}, {&portable::kernels, true}};
#else
  const Build builds[] = {{&portable::kernels, true}};
#endif
  const char* wanted = std::getenv("DARTS_KERNELS_ISA");
  for (const Build& build : builds) {
    if (wanted && *wanted) {
      if (std::string(wanted) != build.kernels->name) continue;
      if (!build.runs) throw std::runtime_error(std::string("DARTS_KERNELS_ISA=") + wanted + ": this machine lacks it");
      return *build.kernels;
    }
    if (build.runs) return *build.kernels;
  }
  throw std::runtime_error(std::string("DARTS_KERNELS_ISA: got '") + wanted + "', expected avx512, avx2 or portable");
}

}  // namespace

const Kernels& selectKernels() {
  static const Kernels& chosen = choose();
  return chosen;
}

}  // namespace darts::kernels
