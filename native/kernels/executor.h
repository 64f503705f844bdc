// One build of the kernels, as the operator sees it.
#pragma once

#include "blocks.h"
#include "cell_backward.h"

DARTS_BEGIN

inline size_t arenaFloats(const Plan& plan) {
  Cell& cell = *new Cell;
  describe(cell, plan, 1);
  Supply supply{nullptr};
  placeInputArena(cell, supply);
  placeArena(cell, supply);
  placeMixture(cell, supply);
  delete &cell;
  return supply.used;
}

inline size_t scratchFloats(const Plan& plan, int threads, bool backward) {
  Cell& cell = *new Cell;
  describe(cell, plan, threads);
  Supply supply{nullptr};
  placeInputScratch(cell, supply, backward);
  placeScratch(cell, supply, backward);
  delete &cell;
  return supply.used;
}

#define DARTS_TEXT_OF(x) #x
#define DARTS_TEXT(x) DARTS_TEXT_OF(x)

DARTS_END

namespace darts::kernels::DARTS_ISA {
extern const Kernels kernels{DARTS_TEXT(DARTS_ISA), L, arenaFloats, scratchFloats, forward, backward, convert<true>,
    convert<false>};
}
