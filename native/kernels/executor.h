// One build of the kernels, as the operator sees it.
#pragma once

#include "cell_backward.h"
#include "inference.h"

DARTS_BEGIN

// Floats that `place` takes for a plan.
template <class Place>
inline size_t floatsOf(const Plan& plan, int threads, Place place) {
  Cell& cell = *new Cell;
  describe(cell, plan, threads);
  Supply supply{nullptr};
  place(cell, supply);
  delete &cell;
  return supply.used;
}

inline size_t arenaFloats(const Plan& plan, bool keep) {
  return floatsOf(plan, 1, [=](Cell& cell, Supply& supply) { placeArena(cell, supply, keep); });
}

inline size_t scratchFloats(const Plan& plan, int threads, bool backward) {
  return floatsOf(plan, threads, [=](Cell& cell, Supply& supply) { placeScratch(cell, supply, backward); });
}

inline size_t inferenceFloats(const Plan& plan, int threads) {
  return floatsOf(plan, threads, [](Cell& cell, Supply& supply) { placeInference(cell, supply); });
}

#define DARTS_TEXT_OF(x) #x
#define DARTS_TEXT(x) DARTS_TEXT_OF(x)

DARTS_END

namespace darts::kernels::DARTS_ISA {
extern const Kernels kernels{DARTS_TEXT(DARTS_ISA), L, arenaFloats, scratchFloats, inferenceFloats, forward, infer, backward};
}
