// Where everything of a cell lies: one walk over the plan places it, or only counts how much memory it takes.
#pragma once

#include "context.h"
#include "red_zones.h"

DARTS_BEGIN

// Memory handed out piece by piece, on cache lines; without a base it only counts.
struct Supply {
  float* base;
  size_t used = 0;
  float* take(size_t floats) {
    float* piece = base ? base + used : nullptr;
    const size_t whole = (floats + 15) / 16 * 16 + kRedZone;
    if (piece) forbid(piece + floats, whole - floats);
    used += whole;
    return piece;
  }
  // Pieces from here on may lie where others do, which are not in use at the same time. Red zones of the one would lie
  // within the other: with them, all lie apart.
  void rewind(size_t start) { if (kRedZone == 0) used = start; }
  template <class... Piece>
  void takeEach(size_t floats, Piece&... pieces) { ((pieces = take(floats)), ...); }
  Saved takeSaved(size_t values, bool halves) {
    return halves ? Saved{nullptr, reinterpret_cast<Bfloat16*>(take(values / 2))} : Saved{take(values)};
  }
  int32_t* takeInts(size_t ints) { return reinterpret_cast<int32_t*>(take(ints)); }
};

inline void placeNorm(Supply& supply, BatchNorm& norm, size_t channels) {
  supply.takeEach(channels, norm.mean, norm.rstd, norm.gamma, norm.beta, norm.scale, norm.shift);
}

inline void placeMatrix(Supply& supply, Matrix& matrix, int rows, int blocks) {
  matrix = {rows, blocks, supply.takeInts(rows), supply.takeInts(blocks), supply.takeInts(blocks)};
}

inline void placeInputParameters(Cell& cell, Supply& supply, bool backward) {
  for (Input& input : cell.inputs) {
    if (!input.on()) continue;
    const int channels = cell.plan->stateChannels;
    placeMatrix(supply, input.forward, input.halves * input.inChannels(), input.outBlocks);
    placeMatrix(supply, input.backward, channels, input.inBlocks());
    input.weights = supply.take(input.weightFloats());
    input.transposed = backward ? supply.take(static_cast<size_t>(input.inBlocks()) * channels * L) : nullptr;
    placeNorm(supply, input.norm, cell.whole.lanes());
  }
}

// Normalisations and packed weights; those that only backward reads if there will be one.
inline void placeWeights(Cell& cell, Supply& supply, bool backward) {
  const Plan& plan = *cell.plan;
  placeInputParameters(cell, supply, backward);
  for (int e = 0; e < plan.edges; e++) {
    Edge& edge = cell.edges[e];
    for (int n = 0; n <= kReduceNorm; n++) {
      Convolution& c = edge.convolution[n];
      if (!c.on) continue;
      placeNorm(supply, c, cell.channels);
      c.depthwise = supply.take(depthwiseFloats(cell, n));
      c.flipped = backward ? supply.take(depthwiseFloats(cell, n)) : nullptr;
      c.pointwise = supply.take(pointwiseFloats(cell, n));
      c.transposed = backward ? supply.take(pointwiseFloats(cell, n)) : nullptr;
    }
    for (Pooling& pooling : edge.pooling)
      if (pooling.on) placeNorm(supply, pooling, cell.channels);
  }
}

// Copies of the mixture and the paths.
inline void placeMixture(Cell& cell, Supply& supply) {
  const Plan& plan = *cell.plan;
  cell.mixture = supply.take(plan.mixture);
  cell.bypass = plan.groups > 1 ? supply.take(plan.edges) : nullptr;
  cell.paths = plan.paths ? supply.take(static_cast<size_t>(plan.edges) * cell.images * L) : nullptr;
}

inline bool isOutput(const Plan& plan, int state) {
  for (int i = 0; i < plan.outputs; i++)
    if (plan.output[i] == state) return true;
  return false;
}

// Inputs before their normalisations, and states that are not the cell's output itself.
inline void placeStates(Cell& cell, Supply& supply) {
  const Plan& plan = *cell.plan;
  for (int i = 0; i < 2; i++)
    if (cell.inputs[i].on())
      cell.wholeStates[i] = cell.inputs[i].product = supply.take(plan.images * cell.whole.imageFloats(cell.inSize));
  for (int s = cell.direct() ? 2 : 0; s < plan.states; s++)
    if (!cell.direct() || !isOutput(plan, s)) cell.states[s] = supply.take(cell.images * cell.imageFloats(cell.sizeOf(s)));
  for (int s = 0; s < plan.states && plan.groups > 1; s++) {
    cell.others[s] = supply.take(cell.images * cell.otherFloats(cell.sizeOf(s)));
    cell.passed[s] = plan.reduction && s < 2 ? supply.take(cell.images * cell.otherFloats(cell.nodeSize)) : cell.others[s];
  }
}

// What backward needs from forward: states, tensors before the normalisations, statistics, packed weights.
// With no backward to follow, its packed weights have no place.
inline void placeArena(Cell& cell, Supply& supply, bool keep) {
  placeWeights(cell, supply, keep);
  placeMixture(cell, supply);
  placeNorm(supply, cell.identity, cell.channels);
  placeStates(cell, supply);
  for (int e = 0; e < cell.plan->edges; e++)
    for (Convolution& c : cell.edges[e].convolution)
      if (c.on) c.y = supply.takeSaved(cell.images * cell.imageFloats(cell.nodeSize), cell.plan->halves);
}

// Whole states that lie outside: inputs that are states already, and what is put out.
inline void attachStates(Cell& cell, const float* const* inputs, const float* output) {
  const Plan& plan = *cell.plan;
  for (int i = 0; i < 2; i++)
    if (!cell.inputs[i].on()) cell.wholeStates[i] = const_cast<float*>(inputs[i]);
  for (int i = 0; i < plan.outputs; i++)
    cell.wholeStates[plan.output[i]] = const_cast<float*>(output) + i * plan.images * cell.whole.imageFloats(cell.nodeSize);
  for (int s = 0; s < plan.states && cell.direct(); s++)
    if (cell.wholeStates[s]) cell.states[s] = cell.wholeStates[s];
}

inline void placeThread(Cell& cell, Supply& supply, Scratch& s, bool backward) {
  const Size in = cell.inSize, node = cell.nodeSize;
  const size_t tile = static_cast<size_t>(cell.tileRows()) * node.width * L;
  const size_t blocks = cell.blocks;
  s.x = supply.take(blocks * in.framedBlock());
  s.z = supply.take(blocks * node.framedBlock());
  s.t = supply.take(2 * blocks * tile);
  s.pooledMax = supply.take(tile);
  s.pooledMean = supply.take(tile);
  if (cell.plan->groups > 1) s.rows = supply.take(static_cast<size_t>(cell.plan->groups) * blocks * node.width * L);
  size_t inputTile = 0, stateTile = 0, places = 0;
  for (const Input& input : cell.inputs) {
    if (!input.on()) continue;
    const size_t floats = static_cast<size_t>(input.tile) * L, pixels = 2 * static_cast<size_t>(input.tile);
    if (input.inBlocks() * floats > inputTile) inputTile = input.inBlocks() * floats;
    if (input.outBlocks * floats > stateTile) stateTile = input.outBlocks * floats;
    if (pixels > places) places = pixels;
  }
  s.inputTile = supply.take(inputTile);
  s.stateTile = supply.take(stateTile);
  s.places = supply.takeInts(places);
  if (!backward) return;
  s.dt = supply.take(blocks * node.framedBlock());
  s.dx = supply.take(blocks * in.block());
  s.dy = supply.take(blocks * tile);
  s.dMax = supply.take(node.block());
  s.dMean = supply.take(node.block());
  s.frames.x = supply.take(static_cast<size_t>(in.width + 2) * (in.height + 2) * L);
  s.frames.gradient = supply.take(static_cast<size_t>(in.width + 2) * (in.height + 2) * L);
}

// Slots of an edge's partial sums: three for each normalisation of a convolution, and no more than that in backward.
constexpr int kSlotsOfEdge = 3 * (kReduceNorm + 1);
// Phase D's slot of an edge's bypass, behind those of its terms.
DARTS_INLINE int bypassSlot(int edge) { return kSlotsOfEdge * edge + kSlotsOfEdge - 1; }

inline void placePartials(Supply& supply, Partials& partials) {
  partials.values = supply.take(partials.floats());
  partials.totals = reinterpret_cast<double*>(supply.take(partials.slots * partials.fold.lanes() * (sizeof(double) / sizeof(float))));
}

inline void placeSums(Cell& cell, Supply& supply) {
  const Plan& plan = *cell.plan;
  int list[kMaxEdges], widest = 0;
  for (int s = 0; s < plan.states; s++) widest = most(widest, edgesFrom(plan, s, list));
  cell.partials = {cell.fold, cell.nodeSize, kSlotsOfEdge * widest + 6};
  cell.inputPartials = {cell.whole, cell.inSize, 6};
  placePartials(supply, cell.partials);
  placePartials(supply, cell.inputPartials);
}

inline void placePermutation(Supply& supply, Permutation& p, int toRegisters, int fromRegisters) {
  const size_t moves = mostMoves(toRegisters, fromRegisters);
  p.to = supply.takeInts(moves);
  p.from = supply.takeInts(moves);
  p.keep = supply.takeInts(moves * L);
  p.lane = supply.takeInts(moves * L);
}

inline void placePermutations(Cell& cell, Supply& supply) {
  const int seen = cell.plan->groups * cell.blocks, whole = cell.fold.together * cell.whole.blocks();
  if (cell.plan->groups > 1) placePermutation(supply, cell.shuffle, seen, seen);
  if (cell.direct()) return;
  placePermutation(supply, cell.enter, seen, whole);
  placePermutation(supply, cell.leave, whole, seen);
}

// What only lasts for one pass.
inline void placeScratch(Cell& cell, Supply& supply, bool backward) {
  for (int t = 0; t < cell.threads; t++) placeThread(cell, supply, cell.scratch[t], backward);
  placeSums(cell, supply);
  placePermutations(cell, supply);
}

inline void placeGradients(Cell& cell, Supply& supply) {
  const Plan& plan = *cell.plan;
  for (int s = 0; s < plan.states; s++) cell.gradients[s] = supply.take(cell.images * cell.imageFloats(cell.sizeOf(s)));
  for (int s = 0; s < plan.states && plan.groups > 1; s++)
    cell.otherGradients[s] = supply.take(cell.images * cell.otherFloats(cell.sizeOf(s)));
  for (int i = 0; i < 2; i++) {
    Input& input = cell.inputs[i];
    supply.takeEach(cell.channels, cell.poolB[i], cell.poolK[i]);
    if (!input.on()) continue;
    supply.takeEach(cell.whole.lanes(), input.a, input.b, input.k);
    cell.wholeGradients[i] = cell.direct() ? cell.gradients[i] : supply.take(plan.images * cell.whole.imageFloats(cell.inSize));
  }
}

// Of the edges from one state: gradients at their first norms, and their weights' places in a chunk; returns the floats of these.
inline size_t placeEdgeGradients(Cell& cell, Supply& supply, int state) {
  size_t floats = 0;
  int list[kMaxEdges];
  const int count = edgesFrom(*cell.plan, state, list);
  for (int i = 0; i < count; i++) {
    Edge& edge = cell.edges[list[i]];
    for (int q = 0; q < kSeparables; q++)
      if (edge.convolution[q].on) edge.firstGradients[q] = supply.takeSaved(cell.images * cell.imageFloats(cell.nodeSize), cell.plan->halves);
    for (int n = 0; n <= kReduceNorm; n++) {
      Convolution& c = edge.convolution[n];
      if (!c.on) continue;
      supply.takeEach(cell.channels, c.a, c.b, c.k);
      c.depthwiseGradient = floats;
      floats += (depthwiseFloats(cell, n) + 15) / 16 * 16;
      c.pointwiseGradient = floats;
      floats += (pointwiseFloats(cell, n) + 15) / 16 * 16;
    }
    for (Pooling& pooling : edge.pooling)
      if (pooling.on) pooling.a = supply.take(cell.channels);
  }
  return floats;
}

// What backward needs besides. States take turns, and so do the inputs after them.
inline void placeBackward(Cell& cell, Supply& supply) {
  placeGradients(cell, supply);
  const size_t start = supply.used;
  size_t furthest = start;
  cell.chunkFloats = inputGradientFloats(cell.inputs);
  for (int s = 0; s < cell.plan->states; s++) {
    supply.rewind(start);
    const size_t floats = placeEdgeGradients(cell, supply, s);
    if (supply.used > furthest) furthest = supply.used;
    if (floats > cell.chunkFloats) cell.chunkFloats = floats;
  }
  supply.used = furthest;
  cell.weightGradients = supply.take(cell.chunkFloats * cell.chunks);
}

DARTS_END
