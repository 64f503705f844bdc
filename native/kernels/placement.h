// Where everything of a cell lies: one walk over the plan places it, or only counts how much memory it takes.
#pragma once

#include "depthwise.h"
#include "pooling.h"
#include "threads.h"

DARTS_BEGIN

constexpr int kKernel[kUnits] = {3, 5, 3, 5, 3, 5};
constexpr Operation kOperationOf[kNorms] = {kSep3, kSep5, kDil3, kDil5, kSep3, kSep5, kSkip, kMaxPool, kAvgPool};

// Weight gradients are summed over each chunk of images, then chunk by chunk, so that their bytes do not depend on
// the number of threads. A chunk is also what a thread takes at a time: more than eight threads find no work.
constexpr int kChunks = 8;

// Memory handed out piece by piece, on cache lines; without a base it only counts.
struct Supply {
  float* base;
  size_t used = 0;
  float* take(size_t floats) {
    float* piece = base ? base + used : nullptr;
    used += (floats + 15) / 16 * 16;
    return piece;
  }
};

// One convolution with its normalisation: a separable unit, or a factorized reduction (no depthwise part).
struct Convolution {
  bool on = false;
  // Packed weights: [blocks][K·K][L] twice, the second turned by 180°; [out][in][group in][L out]; [in][out][group out][L in].
  float *depthwise, *flipped, *pointwise, *transposed;
  float* y;                          // before the normalisation, [images][blocks][H·W][L]
  float *mean, *rstd;
  float *a, *b, *k;                  // backward: dy = a·D + b·y + k
  size_t depthwiseGradient, pointwiseGradient;  // offsets in a chunk's weight gradients
};

struct Pooling {
  bool on = false;
  float *mean, *rstd, *a;            // backward: d(pooled) = a·D + (b·pooled + k, summed over the state's edges)
};

struct Edge {
  const EdgePlan* plan;
  Convolution convolution[kUnits + 1];  // by Norm, kReduceNorm included
  Pooling pooling[2];                   // maximum, mean
  float* firstGradients[2];             // backward: gradients at the first norms of the separable convolutions
  const float* skipWeight;               // backward: where the skip connection has a weight
  bool skips() const { return plan->column[kSkip] >= 0 && plan->stride == 1; }
};

// A permutation of the channels of a pixel, in moves of some lanes of one register into another: lane l of register
// `to` is lane[l] of register `from`, where keep[l] is not zero.
struct Shuffle {
  int moves;
  int *to, *from, *keep, *lane;
};

// What a thread works in.
struct Scratch {
  float *x, *z, *dt, *dx, *t, *dy, *pooledMax, *pooledMean, *dMax, *dMean;
  float* rows;                       // partial channels: a row of every register
  int lanes;                         // of the image at hand that hold something
  PoolColumns columns;
  PoolFrames frames;
  Ahead ahead;
};

constexpr int kMaxThreads = 64;

struct Cell {
  const Plan* plan;
  Fold fold;
  int images;                        // folded
  int threads, chunks, blocks;
  bool wantsWeights;                 // backward
  size_t channels;                   // in whole blocks
  Size inSize, nodeSize;
  Edge edges[kMaxEdges];
  float *states[kMaxStates], *gradients[kMaxStates];
  // Partial channels (see partial.h): a state's other groups, [images][groups - 1][blocks][H·W][L]; what of them passes to
  // the nodes; their gradients.
  float *others[kMaxStates], *passed[kMaxStates], *otherGradients[kMaxStates];
  const float* bypassWeights;        // [edges]
  Shuffle shuffle;
  Scratch scratch[kMaxThreads];
  // Sums of one image that are added up over the images in order: [images][slots][channels].
  float* partials;
  int slots;
  float* weightGradients;            // [chunks][chunkFloats], of the edges of one state
  size_t chunkFloats;
  float *poolB[2], *poolK[2];
  double* sums;                      // [16][channels], for totals

  Size sizeOf(int state) const { return state < 2 ? inSize : nodeSize; }
  size_t imageFloats(Size size) const { return size.block() * blocks; }
  size_t otherFloats(Size size) const { return (plan->groups - 1) * imageFloats(size); }
  float* partial(int image, int slot) const { return partials + (static_cast<size_t>(image) * slots + slot) * channels; }
  double statisticsCount() const { return static_cast<double>(plan->images) * nodeSize.pixels(); }
  int tileRows() const {
    const int rows = (blocks == 1 ? 128 : 64) / most(nodeSize.width, 1);
    return most(1, least(rows, nodeSize.height));
  }
};

// Of a tensor of all images: the n-th image of a state, and of its other groups.
DARTS_INLINE float* image(const Cell& cell, float* tensor, Size size, int n) { return tensor + n * cell.imageFloats(size); }
DARTS_INLINE float* others(const Cell& cell, float* tensor, Size size, int n) { return tensor + n * cell.otherFloats(size); }

inline int edgesFrom(const Plan& plan, int state, int* list) {
  int count = 0;
  for (int e = 0; e < plan.edges; e++)
    if (plan.edge[e].source == state) list[count++] = e;
  return count;
}

inline void describe(Cell& cell, const Plan& plan, int threads) {
  cell.plan = &plan;
  cell.fold = foldOf(plan.images, plan.channels);
  cell.images = cell.fold.count();
  cell.chunks = least(kChunks, cell.images);
  cell.threads = least(least(threads, cell.chunks), kMaxThreads);
  cell.blocks = (plan.channels + L - 1) / L;
  cell.channels = static_cast<size_t>(cell.blocks) * L;
  cell.inSize = {plan.inHeight, plan.inWidth};
  cell.nodeSize = {plan.height, plan.width};
  for (int e = 0; e < plan.edges; e++) {
    Edge& edge = cell.edges[e];
    edge.plan = &plan.edge[e];
    for (int u = 0; u < kUnits; u++) edge.convolution[u].on = edge.plan->column[kOperationOf[u]] >= 0;
    edge.convolution[kReduceNorm].on = edge.plan->column[kSkip] >= 0 && edge.plan->stride == 2;
    edge.pooling[0].on = edge.plan->column[kMaxPool] >= 0;
    edge.pooling[1].on = edge.plan->column[kAvgPool] >= 0;
  }
}

// Blocks that the pointwise part reads: a factorized reduction reads two shifted images.
inline int inputBlocks(const Cell& cell, int norm) { return norm == kReduceNorm ? 2 * cell.blocks : cell.blocks; }
inline size_t depthwiseFloats(const Cell& cell, int norm) {
  return norm == kReduceNorm ? 0 : cell.channels * kKernel[norm] * kKernel[norm];
}
inline size_t pointwiseFloats(const Cell& cell, int norm) { return cell.channels * inputBlocks(cell, norm) * cell.fold.group; }

// What backward needs from forward: states, tensors before the normalisations, statistics, packed weights.
inline void placeArena(Cell& cell, Supply& supply) {
  const Plan& plan = *cell.plan;
  for (int s = 0; s < plan.states; s++) cell.states[s] = supply.take(cell.images * cell.imageFloats(cell.sizeOf(s)));
  for (int s = 0; s < plan.states && plan.groups > 1; s++) {
    cell.others[s] = supply.take(cell.images * cell.otherFloats(cell.sizeOf(s)));
    cell.passed[s] = plan.reduction && s < 2 ? supply.take(cell.images * cell.otherFloats(cell.nodeSize)) : cell.others[s];
  }
  for (int e = 0; e < plan.edges; e++) {
    Edge& edge = cell.edges[e];
    for (int n = 0; n <= kReduceNorm; n++) {
      Convolution& c = edge.convolution[n];
      if (!c.on) continue;
      c.y = supply.take(cell.images * cell.imageFloats(cell.nodeSize));
      c.mean = supply.take(cell.channels);
      c.rstd = supply.take(cell.channels);
      c.depthwise = supply.take(depthwiseFloats(cell, n));
      c.flipped = supply.take(depthwiseFloats(cell, n));
      c.pointwise = supply.take(pointwiseFloats(cell, n));
      c.transposed = supply.take(pointwiseFloats(cell, n));
    }
    for (Pooling& pooling : edge.pooling) {
      if (!pooling.on) continue;
      pooling.mean = supply.take(cell.channels);
      pooling.rstd = supply.take(cell.channels);
    }
  }
}

// The mixture's weights follow the rest of the arena: backward needs them as they were. Those of the bypasses come last.
inline float* placeMixture(Cell& cell, Supply& supply) {
  float* mixture = supply.take(static_cast<size_t>(cell.plan->edges) * cell.plan->columns);
  cell.bypassWeights = supply.take(cell.plan->edges);
  return mixture;
}

inline void placeThread(Cell& cell, Supply& supply, Scratch& s, bool backward) {
  const Size in = cell.inSize, node = cell.nodeSize;
  const size_t tile = static_cast<size_t>(cell.tileRows()) * node.width * L;
  const size_t blocks = cell.blocks;
  s.x = supply.take(blocks * in.framedBlock());
  s.z = supply.take(blocks * node.framedBlock());
  s.t = supply.take(2 * blocks * tile);
  s.pooledMax = supply.take(static_cast<size_t>(node.width) * L);
  s.pooledMean = supply.take(static_cast<size_t>(node.width) * L);
  s.columns.maxima = supply.take(static_cast<size_t>(in.width + 2) * L);
  s.columns.sums = supply.take(static_cast<size_t>(in.width + 2) * L);
  if (cell.plan->groups > 1) s.rows = supply.take(static_cast<size_t>(cell.plan->groups) * cell.blocks * node.width * L);
  if (!backward) return;
  s.dt = supply.take(blocks * node.framedBlock());
  s.dx = supply.take(blocks * in.block());
  s.dy = supply.take(blocks * tile);
  s.dMax = supply.take(node.block());
  s.dMean = supply.take(node.block());
  s.frames.x = supply.take(static_cast<size_t>(in.width + 2) * (in.height + 2) * L);
  s.frames.gradient = supply.take(static_cast<size_t>(in.width + 2) * (in.height + 2) * L);
}

constexpr int kSlotsOfEdge = 24;
// Phase D's slot of an edge's bypass, behind those of its terms.
DARTS_INLINE int bypassSlot(int edge) { return kSlotsOfEdge * edge + kSlotsOfEdge - 1; }

inline void placeShuffle(Cell& cell, Supply& supply) {
  const int registers = cell.plan->groups * cell.blocks, moves = registers * least(registers, cell.fold.group);
  Shuffle& shuffle = cell.shuffle;
  const auto take = [&](size_t ints) { return reinterpret_cast<int*>(supply.take(ints)); };
  shuffle.to = take(moves);
  shuffle.from = take(moves);
  shuffle.keep = take(static_cast<size_t>(moves) * L);
  shuffle.lane = take(static_cast<size_t>(moves) * L);
}

// What only lasts for one pass.
inline void placeScratch(Cell& cell, Supply& supply, bool backward) {
  const Plan& plan = *cell.plan;
  for (int t = 0; t < cell.threads; t++) placeThread(cell, supply, cell.scratch[t], backward);
  if (plan.groups > 1) placeShuffle(cell, supply);
  int list[kMaxEdges], widest = 0;
  for (int s = 0; s < plan.states; s++) widest = most(widest, edgesFrom(plan, s, list));
  cell.slots = kSlotsOfEdge * widest + 6;
  cell.partials = supply.take(static_cast<size_t>(cell.images) * cell.slots * cell.channels);
  cell.sums = reinterpret_cast<double*>(supply.take(16 * 2 * cell.channels));
  if (!backward) return;
  for (int s = 0; s < plan.states; s++) cell.gradients[s] = supply.take(cell.images * cell.imageFloats(cell.sizeOf(s)));
  for (int s = 0; s < plan.states && plan.groups > 1; s++)
    cell.otherGradients[s] = supply.take(cell.images * cell.otherFloats(cell.sizeOf(s)));
  for (int i = 0; i < 2; i++) {
    cell.poolB[i] = supply.take(cell.channels);
    cell.poolK[i] = supply.take(cell.channels);
  }
  // States take turns: the gradients at the first norms and of the weights are those of one state's edges.
  const size_t start = supply.used;
  size_t furthest = start;
  cell.chunkFloats = 0;
  for (int s = 0; s < plan.states; s++) {
    supply.used = start;
    size_t floats = 0;
    const int count = edgesFrom(plan, s, list);
    for (int i = 0; i < count; i++) {
      Edge& edge = cell.edges[list[i]];
      for (int q = 0; q < 2; q++)
        if (edge.convolution[q].on) edge.firstGradients[q] = supply.take(cell.images * cell.imageFloats(cell.nodeSize));
      for (int n = 0; n <= kReduceNorm; n++) {
        Convolution& c = edge.convolution[n];
        if (!c.on) continue;
        c.a = supply.take(cell.channels);
        c.b = supply.take(cell.channels);
        c.k = supply.take(cell.channels);
        c.depthwiseGradient = floats;
        floats += (depthwiseFloats(cell, n) + 15) / 16 * 16;
        c.pointwiseGradient = floats;
        floats += (pointwiseFloats(cell, n) + 15) / 16 * 16;
      }
      for (Pooling& pooling : edge.pooling)
        if (pooling.on) pooling.a = supply.take(cell.channels);
    }
    if (supply.used > furthest) furthest = supply.used;
    if (floats > cell.chunkFloats) cell.chunkFloats = floats;
  }
  supply.used = furthest;
  cell.weightGradients = supply.take(cell.chunkFloats * cell.chunks);
}

// Runs body(image, chunk, scratch, whether it is the chunk's first image) for all images; a thread keeps its images.
template <class Body>
inline void overImages(const Cell& cell, Body&& body) {
  struct Context { const Cell* cell; Body* body; } context{&cell, &body};
  parallel(cell.chunks, cell.threads, [](void* raw, int chunk, int thread) {
    const Context& it = *static_cast<Context*>(raw);
    const long images = it.cell->images, chunks = it.cell->chunks;
    const int begin = static_cast<int>(images * chunk / chunks), end = static_cast<int>(images * (chunk + 1) / chunks);
    Scratch scratch = it.cell->scratch[thread];
    for (int n = begin; n < end; n++) {
      scratch.lanes = it.cell->fold.lanes(n);
      (*it.body)(n, chunk, scratch, n == begin);
    }
  }, &context);
}

// Runs body(item) for small independent pieces of work.
template <class Body>
inline void overItems(const Cell& cell, int items, Body&& body) {
  struct Context { Body* body; } context{&body};
  parallel(items, cell.threads, [](void* raw, int item, int) { (*static_cast<Context*>(raw)->body)(item); }, &context);
}

DARTS_END
