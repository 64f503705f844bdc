// One build of the kernels, as the operator sees it. From below:
//   vector, layout, permutation      registers, blocks of channels, folded images
//   depthwise, pointwise, pooling, matrix, terms   arithmetic on one image, or on a tile of one
//   statistics, batchnorm            sums over the batch, normalisations
//   context, placement, weights      a cell while it runs, its memory, its packed weights
//   input, preprocess; crossing; partial   how inputs become states; states to and from groups; partial channels
//   convolution, cell_forward, norm_gradients, cell_backward, inference   the cell itself
//   stem                             what images pass before the first cell
#pragma once

#include "blocks.h"
#include "cell_backward.h"
#include "inference.h"
#include "stem.h"

DARTS_BEGIN

// Calls body(cell) for a plan.
template <class Body>
inline void withCell(const Plan& plan, int threads, Body body) {
  Cell* cell = new Cell;
  cell->edges = new Edge[plan.edges];
  describe(*cell, plan, threads);
  cell->scratch = new Scratch[most(cell->threads, cell->team)];
  body(*cell);
  delete[] cell->scratch;
  delete[] cell->edges;
  delete cell;
}

// Floats that `place` takes for a plan.
template <class Place>
inline size_t floatsOf(const Plan& plan, int threads, Place place) {
  Supply supply{nullptr};
  withCell(plan, threads, [&](Cell& cell) { place(cell, supply); });
  return supply.used;
}

// Whether each image may go through the whole cell at once.
inline bool infers(const Cell& cell, bool keep) { return !keep && !cell.plan->training && cell.direct(); }

inline size_t arenaFloats(const Plan& plan, bool keep) {
  return floatsOf(plan, 1, [=](Cell& cell, Supply& supply) {
    if (!infers(cell, keep)) placeArena(cell, supply, keep);
  });
}

inline size_t parameterFloats(const Plan& plan, bool keep) {
  return floatsOf(plan, 1, [=](Cell& cell, Supply& supply) {
    if (infers(cell, keep)) placeWeights(cell, supply, false);
  });
}

inline size_t forwardFloats(const Plan& plan, int threads, bool keep) {
  return floatsOf(plan, threads, [=](Cell& cell, Supply& supply) {
    if (infers(cell, keep)) placeInference(cell, supply);
    else placeScratch(cell, supply, false);
  });
}

inline size_t backwardFloats(const Plan& plan, int threads) {
  return floatsOf(plan, threads, [](Cell& cell, Supply& supply) {
    placeScratch(cell, supply, true);
    placeBackward(cell, supply);
  });
}

inline void forward(const ForwardCall& call) {
  withCell(*call.plan, call.threads, [&](Cell& cell) {
    if (infers(cell, call.keep)) inferCell(cell, call);
    else forwardCell(cell, call);
  });
}

inline void backward(const BackwardCall& call) {
  withCell(*call.plan, call.threads, [&](Cell& cell) { backwardCell(cell, call); });
}

#define DARTS_TEXT_OF(x) #x
#define DARTS_TEXT(x) DARTS_TEXT_OF(x)

DARTS_END

namespace darts::kernels::DARTS_ISA {
extern const Kernels kernels{DARTS_TEXT(DARTS_ISA), L, arenaFloats, parameterFloats, forwardFloats, backwardFloats, forward, backward,
    stemFloats, stemForward, stemBackward, convert<true>, convert<false>};
}
