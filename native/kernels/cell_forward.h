// Forward of a cell, state by state, all edges that leave a state together. Three phases over the images, because a
// normalisation needs the whole batch before its values can be used:
//   A  all that needs the state only: first halves of separable convolutions, dilated ones, reductions, poolings' sums
//   B  second halves, from the normalised and rectified first ones, which are never stored
//   C  every node adds its share: normalisation, mixture weight and sum are one multiplication and addition an operation
#pragma once

#include "batchnorm.h"
#include "convolution.h"
#include "crossing.h"
#include "partial.h"
#include "preprocess.h"
#include "terms.h"
#include "weights.h"

DARTS_BEGIN

// The edges that leave a state.
struct Outgoing {
  int state, count, list[kMaxEdges];
  int stride = 1;
  bool pools = false;        // any pooling
  bool poolSums = false;     // any pooling whose statistics are the batch's
  bool convolutions = false;
  bool second = false;       // any separable convolution
};

inline Outgoing outgoing(const Cell& cell, int state) {
  Outgoing out;
  out.state = state;
  out.count = edgesFrom(*cell.plan, state, out.list);
  for (int i = 0; i < out.count; i++) {
    const Edge& edge = cell.edges[out.list[i]];
    out.stride = edge.plan->stride;
    for (int q = 0; q < 2; q++) {
      out.pools = out.pools || edge.pooling[q].on;
      out.poolSums = out.poolSums || (edge.pooling[q].on && edge.plan->norm[kMaxNorm + q].statistics >= 0 && cell.plan->training);
    }
    for (int norm = 0; norm <= kReduceNorm; norm++) out.convolutions = out.convolutions || edge.convolution[norm].on;
    for (int q = 0; q < kSeparables; q++) out.second = out.second || edge.convolution[q].on;
  }
  return out;
}

// The convolutions that read a state itself.
constexpr int kFirstNorms[] = {kSep3First, kSep5First, kSep7First, kDil3Unit, kDil5Unit, kReduceNorm};

// Slots of the partial sums in phases A and B: three for each normalisation of an edge; the poolings' come last.
DARTS_INLINE int normSlot(int edge, int norm) { return kSlotsOfEdge * edge + 3 * norm; }

DARTS_INLINE int poolSlot(const Cell& cell, int pooling) { return cell.partials.slots - 6 + 3 * pooling; }

inline void zeroPartials(const Cell& cell, int image) { std::memset(cell.partial(image, 0), 0,
    cell.partials.slots * cell.channels * sizeof(float)); }

inline void poolSums(const Cell& cell, const Outgoing& out, const float* x, int n, Scratch& s) {
  const Size size = cell.sizeOf(out.state), node = cell.nodeSize;
  for (int b = 0; b < cell.blocks; b++) {
    V sum[6] = {zero(), zero(), zero(), zero(), zero(), zero()};  // as addStatistics has them, for both poolings
    for (int y = 0; y < node.height; y++) {
      poolRow(x + b * size.block(), size, out.stride, y, node.width, s.columns, s.pooledMax, s.pooledMean);
      if (y == 0) {
        sum[2] = load(s.pooledMax);
        sum[5] = load(s.pooledMean);
      }
      for (int i = 0; i < node.width; i++) {
        const V m = load(s.pooledMax + i * L) - sum[2], a = load(s.pooledMean + i * L) - sum[5];
        sum[0] += m;
        sum[1] = fma(m, m, sum[1]);
        sum[3] += a;
        sum[4] = fma(a, a, sum[4]);
      }
    }
    for (int q = 0; q < 6; q++) store(cell.partial(n, poolSlot(cell, 0) + q) + b * L, sum[q]);
  }
}

// Where a convolution's sums for the statistics go; in evaluation nobody needs them.
DARTS_INLINE float* sumsOf(const Cell& cell, int image, int edge, int norm) {
  return cell.plan->training ? cell.partial(image, normSlot(edge, norm)) : nullptr;
}

inline void forwardFirst(Cell& cell, const Outgoing& out) {
  const Size size = cell.sizeOf(out.state);
  const bool completes = cell.plan->groups > 1 && out.state >= 2;
  if (completes || out.convolutions || out.poolSums) overImages(cell, [&](int n, int, Scratch& s, bool) {
    if (completes) completeNode(cell, out.state, n, s);
    zeroPartials(cell, n);
    const float* x = image(cell, cell.states[out.state], size, n);
    if (out.poolSums) poolSums(cell, out, x, n, s);
    if (!out.convolutions) return;
    frameRelu(x, cell.blocks, size, s.x);
    for (int i = 0; i < out.count; i++) {
      const Edge& edge = cell.edges[out.list[i]];
      for (int u = 0; u < kSep3Second; u++) {
        const Convolution& c = edge.convolution[u];
        if (!c.on) continue;
        withShape(u, edge.plan->stride, [&](auto shape) {
          unitForward(cell, c, s.x, size, image(cell, c.y, cell.nodeSize, n), sumsOf(cell, n, i, u), s, shape);
        });
      }
      const Convolution& reduce = edge.convolution[kReduceNorm];
      if (reduce.on) reduceForward(cell, reduce, s.x, image(cell, reduce.y, cell.nodeSize, n), sumsOf(cell, n, i, kReduceNorm), s);
    }
  });
  Unfinished list[kMaxEdges * kNorms];
  int count = 0;
  for (int i = 0; i < out.count; i++) {
    const Edge& edge = cell.edges[out.list[i]];
    for (int u : kFirstNorms)
      if (edge.convolution[u].on) list[count++] = {edge.plan->norm[u], normSlot(i, u), &edge.convolution[u]};
  }
  finishNorms(cell, cell.partials, list, count);
  // These all read the same sums.
  for (int i = 0; i < out.count; i++) {
    const Edge& edge = cell.edges[out.list[i]];
    for (int q = 0; q < 2; q++)
      if (edge.pooling[q].on) finishNorm(cell, edge.plan->norm[kMaxNorm + q], cell.partials, poolSlot(cell, q), edge.pooling[q]);
  }
}

inline void forwardSecond(Cell& cell, const Outgoing& out) {
  const Size node = cell.nodeSize;
  overImages(cell, [&](int n, int, Scratch& s, bool) {
    zeroPartials(cell, n);
    for (int i = 0; i < out.count; i++) {
      const Edge& edge = cell.edges[out.list[i]];
      for (int q = 0; q < kSeparables; q++) {
        const Convolution &first = edge.convolution[q], &c = edge.convolution[kSep3Second + q];
        if (!c.on) continue;
        frameNormRelu(image(cell, first.y, node, n), first.scale, first.shift, cell.blocks, node, s.z);
        withShape(kSep3Second + q, 1, [&](auto shape) {
          unitForward(cell, c, s.z, node, image(cell, c.y, node, n), sumsOf(cell, n, i, kSep3Second + q), s, shape);
        });
      }
    }
  });
  Unfinished list[kMaxEdges * kSeparables];
  int count = 0;
  for (int i = 0; i < out.count; i++) {
    const Edge& edge = cell.edges[out.list[i]];
    for (int u = kSep3Second; u < kUnits; u++)
      if (edge.convolution[u].on) list[count++] = {edge.plan->norm[u], normSlot(i, u), &edge.convolution[u]};
  }
  finishNorms(cell, cell.partials, list, count);
}

// The convolutions whose normalised outputs are an edge's: their y is what its nodes and gradients read.
constexpr int kOutputNorms[] = {kDil3Unit, kDil5Unit, kSep3Second, kSep5Second, kSep7Second, kReduceNorm};

inline void addToNodes(Cell& cell, const Outgoing& out) {
  const Size size = cell.sizeOf(out.state), node = cell.nodeSize;
  overImages(cell, [&](int n, int, Scratch& s, bool) {
    const float* x = image(cell, cell.states[out.state], size, n);
    for (int b = 0; b < cell.blocks; b++) {
      overNodeTiles(cell, [&](int y, int rows, int pixels, size_t before) {
        if (out.pools) poolRows(x + b * size.block(), size, out.stride, y, rows, node.width, s.columns, s.pooledMax, s.pooledMean);
        const size_t at = b * node.block() + before;
        for (int i = 0; i < out.count; i++) {
          const Edge& edge = cell.edges[out.list[i]];
          const V path = cell.pathScale(edge, n);
          Terms terms;
          V constant = zero();
          const auto addNormed = [&](const float* row, int norm, const BatchNorm& values) DARTS_LAMBDA {
            const V weight = path * all(cell.mixtureWeight(edge, kOperationOf[norm]));
            terms.add(row, weight * load(values.scale + b * L));
            constant += weight * load(values.shift + b * L);
          };
          for (int u : kOutputNorms) {
            const Convolution& c = edge.convolution[u];
            if (c.on) addNormed(image(cell, c.y, node, n) + at, u, c);
          }
          for (int q = 0; q < 2; q++)
            if (edge.pooling[q].on) addNormed(q == 0 ? s.pooledMax : s.pooledMean, kMaxNorm + q, edge.pooling[q]);
          if (edge.skips()) terms.add(x + at, all(cell.mixtureWeight(edge, kSkip)));
          float* to = image(cell, cell.states[edge.plan->target], node, n) + at;
          withCount(terms.count, [&](auto count) DARTS_LAMBDA {
            constexpr int N = decltype(count)::value;
            if (edge.begins) weightedRow<N, true>(terms, constant, pixels, to);
            else weightedRow<N, false>(terms, constant, pixels, to);
          });
        }
      });
    }
  });
}

inline void zeroFrames(Cell& cell, bool backward) {
  overItems(cell, cell.threads, [&](int t) {
    Scratch& s = cell.scratch[t];
    std::memset(s.x, 0, cell.blocks * cell.inSize.framedBlock() * sizeof(float));
    std::memset(s.z, 0, cell.blocks * cell.nodeSize.framedBlock() * sizeof(float));
    if (backward) std::memset(s.dt, 0, cell.blocks * cell.nodeSize.framedBlock() * sizeof(float));
  });
}

// The scales of paths, for each lane that of its image; none where there is no image.
inline void copyPaths(const Cell& cell, const float* paths) {
  const Fold& fold = cell.fold;
  for (int e = 0; e < cell.plan->edges; e++)
    for (int n = 0; n < cell.images; n++)
      for (int l = 0; l < L; l++) {
        const int i = l / fold.group;
        cell.paths[(static_cast<size_t>(e) * cell.images + n) * L + l] =
            i < fold.present(n) ? paths[static_cast<size_t>(e) * cell.plan->images + n * fold.together + i] : 0;
      }
}

// Copies what backward needs as it was.
inline void copyMixture(const Cell& cell, const ForwardCall& call) {
  const Plan& plan = *call.plan;
  if (plan.mixture > 0) std::memcpy(cell.mixture, call.mixture, sizeof(float) * plan.mixture);
  if (cell.bypass) std::memcpy(cell.bypass, call.bypass, sizeof(float) * plan.edges);
  if (cell.paths) copyPaths(cell, call.paths);
}

inline void packWeights(Cell& cell, const ForwardCall& call) {
  cell.weights = call.weights;
  cell.statistics = call.statistics;
  cell.differentiable = call.keep;
  prepareInputs(cell);
  overItems(cell, cell.plan->edges, [&](int e) {
    for (int norm = 0; norm <= kReduceNorm; norm++)
      if (cell.edges[e].convolution[norm].on) packConvolution(cell, cell.edges[e], norm, call.weights);
  });
}

// A state of the n-th images as the operations see it, from the whole one.
inline void takeState(const Cell& cell, int state, const float* whole, int n) {
  const Size size = cell.sizeOf(state);
  float* seen = image(cell, cell.states[state], size, n);
  if (!cell.direct()) enterState(cell, whole, size, n, seen, others(cell, cell.others[state], size, n));
  else if (seen != whole + n * cell.imageFloats(size)) std::memcpy(seen, whole + n * cell.imageFloats(size), cell.imageFloats(size) * sizeof(float));
}

inline void takeStates(const Cell& cell, const ForwardCall& call) {
  overImages(cell, [&](int n, int, Scratch&, bool) {
    for (int s = 0; s < cell.plan->states; s++) {
      if (s < 2) takeState(cell, s, cell.wholeStates[s], n);
      else if (cell.plan->given[s]) takeState(cell, s, call.given[s], n);
    }
    for (int s = 0; s < 2; s++) passInput(cell, s, n);
  });
}

// Completes the last node, and hands on what is put out.
inline void putStates(const Cell& cell) {
  if (cell.direct()) return;
  const Plan& plan = *cell.plan;
  overImages(cell, [&](int n, int, Scratch& s, bool) {
    completeNode(cell, plan.states - 1, n, s);
    for (int i = 0; i < plan.outputs; i++) {
      const int state = plan.output[i];
      leaveState(cell, image(cell, cell.states[state], cell.nodeSize, n), others(cell, cell.others[state], cell.nodeSize, n),
          cell.nodeSize, n, cell.wholeStates[state]);
    }
  });
}

inline void forwardCell(Cell& cell, const ForwardCall& call) {
  const Plan& plan = *call.plan;
  Supply arena{call.arena}, scratch{call.scratch};
  placeArena(cell, arena, call.keep);
  placeScratch(cell, scratch, false);
  attachStates(cell, call.inputs, call.output);
  copyMixture(cell, call);
  packWeights(cell, call);
  planShuffle(cell, false);
  planCrossing(cell);
  zeroFrames(cell, false);
  preprocessForward(cell, call);
  takeStates(cell, call);
  for (int state = 0; state < plan.states - 1; state++) {
    const Outgoing out = outgoing(cell, state);
    // A reduction cell's nodes are smaller than its inputs: the frame lies elsewhere, and must be zero again.
    if (state == 2 && plan.reduction) zeroFrames(cell, false);
    forwardFirst(cell, out);
    if (out.second) forwardSecond(cell, out);
    if (out.count > 0) addToNodes(cell, out);
  }
  putStates(cell);
}

DARTS_END
