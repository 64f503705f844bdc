// What the kernels know of a cell while it runs: its plan, the tensors of every edge, and what the threads work in.
// Where all of it lies is placement.h's.
#pragma once

#include "depthwise.h"
#include "input.h"
#include "permutation.h"
#include "pooling.h"
#include "threads.h"

DARTS_BEGIN

constexpr int kKernel[kUnits] = {3, 5, 7, 3, 5, 3, 5, 7};

// Weight gradients are summed over each chunk of images, then chunk by chunk, so that their bytes do not depend on
// the number of threads. Where there are any, a chunk is also what a thread takes at a time: more threads find no work.
// Twice as many chunks cost a supernet's step of 64 images 1 % of its time.
constexpr int kFewestChunks = 8, kImagesInChunk = 8;
inline int chunksOf(int images) { return least(most(kFewestChunks, images / kImagesInChunk), images); }

// One convolution with its normalisation: a separable unit, or a factorized reduction (no depthwise part).
struct Convolution : BatchNorm, Affines {  // backward: of y's gradient
  bool on = false;
  // Packed weights: [blocks][K·K][L] twice, the second turned by 180°; [out][in][group in][L out]; [in][out][group out][L in].
  float *depthwise, *flipped, *pointwise, *transposed;
  Saved y;                           // rounded if the plan says so, before the normalisation, [images][blocks][H·W][L]
  size_t depthwiseGradient, pointwiseGradient;  // offsets in a chunk's weight gradients
};

struct Pooling : BatchNorm {
  bool on = false;
  float* a;                          // backward: d(pooled) = a·D + (b·pooled + k, summed over the state's edges)
};

struct Edge {
  const EdgePlan* plan;
  int index;
  Convolution convolution[kUnits + 1];  // by Norm, kReduceNorm included
  Pooling pooling[2];                   // maximum, mean
  Saved firstGradients[kSeparables];    // backward: gradients at the first norms of the separable convolutions
  bool skips() const { return plan->on[kSkip] && plan->stride == 1; }
};

// Inference: first halves of separable convolutions that a team of threads computes before they meet. More would no longer
// stay in the second cache.
constexpr int kMostTogether = 4;

// Inference: what is stored of one image. Rectified and framed states take turns in two places, `inputs` or `nodes` as
// their size is; the first halves of separable convolutions in others: some are made while as many are read.
struct OneImage {
  int together;                      // halves that are made before threads meet
  float *inputs[2], *nodes[2], *halves[2 * kMostTogether];
  float *states[kMaxStates], *framed[kMaxStates];  // framed: null where no convolution reads a state
};

// What a thread works in.
struct Scratch {
  float *x, *z, *dt, *dx, *t, *dy, *pooledMax, *pooledMean, *dMax, *dMean;
  float *inputTile, *stateTile;      // preprocessing
  int32_t* places;
  float* rows;                       // partial channels: a row of every register
  int lanes;                         // of the image at hand that hold something
  PoolFrames frames;
  Ahead ahead;
  Coming coming;                     // inference
  struct { Saved gradient, y; } next{};  // backward: what the unit after this one will read
  OneImage image;                    // inference
};

struct Cell {
  const Plan* plan;
  Fold whole;                        // how cells hand states on: all channels, image by image
  Fold fold;                         // how the operations see them
  int images;                        // folded
  int threads, chunks, blocks;
  int team;                          // inference: threads that share each image, where there are fewer images than threads
  size_t channels;                   // in whole blocks
  const float* const* weights;       // forward: the call's
  float* const* statistics;
  bool differentiable;               // forward: whether a backward follows
  bool wantsWeights;                 // backward
  float *mixture, *bypass;           // copies: backward needs them as they were
  float* paths;                      // [edges][images][L]; null without drop-path
  Size inSize, nodeSize;
  Input inputs[2];
  Edge* edges;                       // as many as the plan has
  // Whole states: the inputs, preprocessed up to their normalisations, and the nodes that are put out.
  float *wholeStates[kMaxStates] = {}, *wholeGradients[2] = {};
  float *states[kMaxStates], *gradients[kMaxStates];
  BatchNorm identity;
  const float* incoming[kMaxStates];  // what a state's gradient begins with, before its turn comes; null: with zeros
  // Partial channels (see partial.h): a state's other groups, [images][groups - 1][blocks][H·W][L]; what of them passes to
  // the nodes; their gradients.
  float *others[kMaxStates], *passed[kMaxStates], *otherGradients[kMaxStates];
  Permutation shuffle, enter, leave;
  Scratch* scratch;                  // as many as threads, or as a team has
  Partials partials, inputPartials;
  float* weightGradients;            // [chunks][chunkFloats], of the edges of one state
  size_t chunkFloats;
  float *poolB[2], *poolK[2];

  // Whether the operations see states as they are handed on, so that nothing need be moved.
  bool direct() const { return plan->groups == 1 && fold.together == 1; }
  // What is made of a state's values when they are read: an input's normalisation takes no pass of its own.
  const BatchNorm& normOf(int state) const { return state < 2 && direct() && inputs[state].on() ? inputs[state].norm : identity; }
  Size sizeOf(int state) const { return state < 2 ? inSize : nodeSize; }
  size_t imageFloats(Size size) const { return fold.imageFloats(size); }
  size_t otherFloats(Size size) const { return (plan->groups - 1) * imageFloats(size); }
  float* partial(int image, int slot) const { return partials.at(image, slot); }
  float mixtureWeight(const Edge& edge, int operation) const {
    const int index = edge.plan->mixture[operation];
    return index < 0 ? 1 : mixture[index];
  }
  // The scales of an edge's paths, [images][L]; null without.
  const float* pathsOf(const Edge& edge) const { return paths ? paths + static_cast<size_t>(edge.index) * images * L : nullptr; }
  V pathScale(const Edge& edge, int image) const { return paths ? load(pathsOf(edge) + static_cast<size_t>(image) * L) : all(1); }
  int tileRows() const {
    const int rows = (blocks == 1 ? 128 : 64) / most(nodeSize.width, 1);
    return most(1, least(rows, nodeSize.height));
  }
};

// Calls body(first row, rows, pixels, floats before them) for the tiles of a block of a node.
template <class Body>
DARTS_INLINE void overNodeTiles(const Cell& cell, Body body) {
  const Size node = cell.nodeSize;
  const int most = cell.tileRows();
  for (int y = 0; y < node.height; y += most) {
    const int rows = least(most, node.height - y);
    body(y, rows, rows * node.width, static_cast<size_t>(y) * node.width * L);
  }
}

// Of a tensor of all images: the n-th image of a state, and of its other groups.
template <class T>
DARTS_INLINE T* image(const Cell& cell, T* tensor, Size size, int n) { return tensor + n * cell.imageFloats(size); }
DARTS_INLINE Saved image(const Cell& cell, Saved tensor, Size size, int n) { return tensor + n * cell.imageFloats(size); }
DARTS_INLINE float* others(const Cell& cell, float* tensor, Size size, int n) { return tensor + n * cell.otherFloats(size); }

inline int edgesFrom(const Plan& plan, int state, int* list) {
  int count = 0;
  for (int e = 0; e < plan.edges; e++)
    if (plan.edge[e].source == state) list[count++] = e;
  return count;
}

inline int edgesInto(const Plan& plan, int state, int* list) {
  int count = 0;
  for (int e = 0; e < plan.edges; e++)
    if (plan.edge[e].target == state) list[count++] = e;
  return count;
}

inline void describeEdges(Cell& cell) {
  const Plan& plan = *cell.plan;
  for (int e = 0; e < plan.edges; e++) {
    Edge& edge = cell.edges[e];
    edge.plan = &plan.edge[e];
    edge.index = e;
    for (int u = 0; u < kUnits; u++) edge.convolution[u].on = edge.plan->on[kOperationOf[u]];
    edge.convolution[kReduceNorm].on = edge.plan->on[kSkip] && edge.plan->stride == 2;
    edge.pooling[0].on = edge.plan->on[kMaxPool];
    edge.pooling[1].on = edge.plan->on[kAvgPool];
  }
}

inline void describe(Cell& cell, const Plan& plan, int threads) {
  cell.plan = &plan;
  cell.whole = unfolded(plan.images, plan.stateChannels);
  cell.fold = folded(plan.images, plan.channels);
  cell.images = cell.fold.count();
  cell.chunks = chunksOf(cell.images);
  cell.threads = least(least(threads, cell.images), kMaxThreads);
  cell.blocks = cell.fold.blocks();
  cell.channels = cell.fold.lanes();
  cell.inSize = {plan.inHeight, plan.inWidth};
  cell.nodeSize = {plan.height, plan.width};
  cell.team = plan.images < threads ? least(least(threads, plan.height), kMaxThreads) : 1;
  size_t gradient = 0;
  for (int i = 0; i < 2; i++) gradient += describeInput(cell.inputs[i], plan.input[i], cell.whole, gradient);
  describeEdges(cell);
}

// Blocks that the pointwise part reads: a factorized reduction reads two shifted images.
inline int inputBlocks(const Cell& cell, int norm) { return norm == kReduceNorm ? 2 * cell.blocks : cell.blocks; }
inline size_t depthwiseFloats(const Cell& cell, int norm) {
  return norm == kReduceNorm ? 0 : cell.channels * kKernel[norm] * kKernel[norm];
}
inline size_t pointwiseFloats(const Cell& cell, int norm) { return cell.channels * inputBlocks(cell, norm) * cell.fold.group; }

// Runs body(item, thread) for all items.
template <class Body>
inline void inParallel(int items, int threads, Body&& body) {
  struct Context { Body* body; } context{&body};
  parallel(items, threads, [](void* raw, int item, int thread) { (*static_cast<Context*>(raw)->body)(item, thread); }, &context);
}

// Runs body(image) for the images of a chunk.
template <class Body>
DARTS_INLINE void overChunk(int images, int chunk, int chunks, Body body) {
  const int end = static_cast<int>(static_cast<long>(images) * (chunk + 1) / chunks);
  for (int n = static_cast<int>(static_cast<long>(images) * chunk / chunks); n < end; n++) body(n);
}

// What a thread works in, for an image.
inline Scratch scratchFor(const Cell& cell, const Fold& fold, int thread, int n) {
  Scratch scratch = cell.scratch[thread];
  scratch.lanes = fold.present(n) * fold.group;
  return scratch;
}

// Runs body(image, scratch) for the images of a fold; a thread keeps its images.
template <class Body>
inline void overBatch(const Cell& cell, const Fold& fold, Body body) {
  inParallel(fold.count(), cell.threads, [&](int n, int thread) {
    Scratch scratch = scratchFor(cell, fold, thread, n);
    body(n, scratch);
  });
}

template <class Body>
inline void overImages(const Cell& cell, Body body) { overBatch(cell, cell.fold, body); }

// Runs body(image, weight gradients to add to, scratch), where weights have gradients chunk by chunk.
template <class Body>
inline void overChunks(const Cell& cell, const Fold& fold, Body body) {
  if (!cell.wantsWeights) return overBatch(cell, fold, [&](int n, Scratch& scratch) { body(n, nullptr, scratch); });
  inParallel(cell.chunks, cell.threads, [&](int chunk, int thread) {
    overChunk(fold.count(), chunk, cell.chunks, [&](int n) {
      Scratch scratch = scratchFor(cell, fold, thread, n);
      body(n, cell.weightGradients + chunk * cell.chunkFloats, scratch);
    });
  });
}

// Runs body(item) for small independent pieces of work.
template <class Body>
inline void overItems(const Cell& cell, int items, Body&& body) {
  inParallel(items, cell.threads, [&](int item, int) { body(item); });
}

// Before chunks' gradients are added to.
inline void clearChunks(const Cell& cell, size_t floats) {
  if (cell.wantsWeights) overItems(cell, cell.chunks, [&](int chunk) {
    std::memset(cell.weightGradients + chunk * cell.chunkFloats, 0, floats * sizeof(float));
  });
}

DARTS_END
