// Forward of a cell, state by state, all edges that leave a state together. Three phases over the images, because a
// normalisation needs the whole batch before its values can be used:
//   A  all that needs the state only: first halves of separable convolutions, dilated ones, reductions, poolings' sums
//   B  second halves, from the normalised and rectified first ones, which are never stored
//   C  every node adds its share: normalisation, mixture weight and sum are one multiplication and addition an operation
#pragma once

#include "batchnorm.h"
#include "convolution.h"
#include "partial.h"
#include "pooling.h"
#include "terms.h"
#include "weights.h"

DARTS_BEGIN

// The edges that leave a state.
struct Outgoing {
  int state, count, list[kMaxEdges];
  bool pools = false;
  int stride = 1;
};

inline Outgoing outgoing(const Cell& cell, int state) {
  Outgoing out;
  out.state = state;
  out.count = edgesFrom(*cell.plan, state, out.list);
  for (int i = 0; i < out.count; i++) {
    const Edge& edge = cell.edges[out.list[i]];
    out.pools = out.pools || edge.pooling[0].on || edge.pooling[1].on;
    out.stride = edge.plan->stride;
  }
  return out;
}


// The convolutions that read a state itself.
constexpr int kFirstNorms[] = {kSep3First, kSep5First, kDil3Unit, kDil5Unit, kReduceNorm};

// Slots of the partial sums in phases A and B: three for each normalisation of an edge; the poolings' come last.
DARTS_INLINE int normSlot(int edge, int norm) { return kSlotsOfEdge * edge + 3 * norm; }

inline void zeroPartials(const Cell& cell, int image) { std::memset(cell.partial(image, 0), 0,
    cell.slots * cell.channels * sizeof(float)); }

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
    for (int q = 0; q < 6; q++) store(cell.partial(n, cell.slots - 6 + q) + b * L, sum[q]);
  }
}

inline void forwardFirst(Cell& cell, const Outgoing& out, float* const* statistics) {
  const Size size = cell.sizeOf(out.state);
  overImages(cell, [&](int n, int, Scratch& s, bool) {
    zeroPartials(cell, n);
    completeNode(cell, out.state, n, s);
    const float* x = image(cell, cell.states[out.state], size, n);
    frameRelu(x, cell.blocks, size, s.x);
    if (out.pools) poolSums(cell, out, x, n, s);
    for (int i = 0; i < out.count; i++) {
      const Edge& edge = cell.edges[out.list[i]];
      for (int u = kSep3First; u <= kDil5Unit; u++) {
        const Convolution& c = edge.convolution[u];
        if (!c.on) continue;
        withShape(u, edge.plan->stride, [&](auto shape) {
          unitForward(cell, c, s.x, size, image(cell, c.y, cell.nodeSize, n), cell.partial(n, normSlot(i, u)), s,
              shape);
        });
      }
      const Convolution& reduce = edge.convolution[kReduceNorm];
      if (reduce.on) reduceForward(cell, reduce, s.x, image(cell, reduce.y, cell.nodeSize, n), cell.partial(n,
          normSlot(i, kReduceNorm)), s);
    }
  });
  for (int i = 0; i < out.count; i++) {
    const Edge& edge = cell.edges[out.list[i]];
    for (int u : kFirstNorms) {
      const Convolution& c = edge.convolution[u];
      if (c.on) finishNorm(cell, normSlot(i, u), statistics, edge.plan->norm[u], c.mean, c.rstd);
    }
    for (int q = 0; q < 2; q++) {
      const Pooling& p = edge.pooling[q];
      if (p.on) finishNorm(cell, cell.slots - 6 + 3 * q, statistics, edge.plan->norm[kMaxNorm + q], p.mean, p.rstd);
    }
  }
}

inline void forwardSecond(Cell& cell, const Outgoing& out, float* const* statistics) {
  const Size node = cell.nodeSize;
  overImages(cell, [&](int n, int, Scratch& s, bool) {
    zeroPartials(cell, n);
    for (int i = 0; i < out.count; i++) {
      const Edge& edge = cell.edges[out.list[i]];
      for (int q = 0; q < 2; q++) {
        const Convolution &first = edge.convolution[q], &c = edge.convolution[kSep3Second + q];
        if (!c.on) continue;
        frameNormRelu(image(cell, first.y, node, n), first.mean, first.rstd, cell.blocks, node, s.z);
        withShape(kSep3Second + q, 1, [&](auto shape) {
          unitForward(cell, c, s.z, node, image(cell, c.y, node, n), cell.partial(n, normSlot(i, kSep3Second + q)), s,
              shape);
        });
      }
    }
  });
  for (int i = 0; i < out.count; i++) {
    const Edge& edge = cell.edges[out.list[i]];
    for (int u = kSep3Second; u <= kSep5Second; u++) {
      const Convolution& c = edge.convolution[u];
      if (c.on) finishNorm(cell, normSlot(i, u), statistics, edge.plan->norm[u], c.mean, c.rstd);
    }
  }
}

// The convolutions whose normalised outputs are an edge's: their y is what its nodes and gradients read.
constexpr int kOutputNorms[] = {kDil3Unit, kDil5Unit, kSep3Second, kSep5Second, kReduceNorm};

DARTS_INLINE float mixtureWeight(const Cell& cell, const Edge& edge, int operation, const float* mixture) {
  return mixture[(edge.plan - cell.plan->edge) * cell.plan->columns + edge.plan->column[operation]];
}

inline void addToNodes(Cell& cell, const Outgoing& out, const float* mixture) {
  const Size size = cell.sizeOf(out.state), node = cell.nodeSize;
  overImages(cell, [&](int n, int, Scratch& s, bool) {
    const float* x = image(cell, cell.states[out.state], size, n);
    for (int b = 0; b < cell.blocks; b++) {
      for (int y = 0; y < node.height; y++) {
        if (out.pools) poolRow(x + b * size.block(), size, out.stride, y, node.width, s.columns, s.pooledMax,
            s.pooledMean);
        const size_t at = b * node.block() + static_cast<size_t>(y) * node.width * L;
        for (int i = 0; i < out.count; i++) {
          const Edge& edge = cell.edges[out.list[i]];
          Terms terms;
          V constant = zero();
          const auto addNormed = [&](const float* row, int norm, const float* mean, const float* rstd) DARTS_LAMBDA {
            const V weight = all(mixtureWeight(cell, edge, kOperationOf[norm], mixture)) * load(rstd + b * L);
            terms.add(row, weight);
            constant -= weight * load(mean + b * L);
          };
          for (int u : kOutputNorms) {
            const Convolution& c = edge.convolution[u];
            if (c.on) addNormed(image(cell, c.y, node, n) + at, u, c.mean, c.rstd);
          }
          for (int q = 0; q < 2; q++) {
            const Pooling& p = edge.pooling[q];
            if (p.on) addNormed(q == 0 ? s.pooledMax : s.pooledMean, kMaxNorm + q, p.mean, p.rstd);
          }
          if (edge.skips()) terms.add(x + at, all(mixtureWeight(cell, edge, kSkip, mixture)));
          float* to = image(cell, cell.states[edge.plan->target], node, n) + at;
          withCount(terms.count, [&](auto count) DARTS_LAMBDA {
            constexpr int N = decltype(count)::value;
            if (out.state == 0) weightedRow<N, true>(terms, constant, node.width, to);
            else weightedRow<N, false>(terms, constant, node.width, to);
          });
        }
      }
    }
  });
}

inline bool anySecond(const Cell& cell, const Outgoing& out) {
  for (int i = 0; i < out.count; i++)
    for (int u = kSep3Second; u <= kSep5Second; u++)
      if (cell.edges[out.list[i]].convolution[u].on) return true;
  return false;
}

inline void zeroFrames(Cell& cell, bool backward) {
  overItems(cell, cell.threads, [&](int t) {
    Scratch& s = cell.scratch[t];
    std::memset(s.x, 0, cell.blocks * cell.inSize.framedBlock() * sizeof(float));
    std::memset(s.z, 0, cell.blocks * cell.nodeSize.framedBlock() * sizeof(float));
    if (backward) std::memset(s.dt, 0, cell.blocks * cell.nodeSize.framedBlock() * sizeof(float));
  });
}

inline void forward(const ForwardCall& call) {
  const Plan& plan = *call.plan;
  Cell& cell = *new Cell;
  describe(cell, plan, call.threads);
  Supply arena{call.arena}, scratch{call.scratch};
  placeArena(cell, arena);
  placeScratch(cell, scratch, false);
  std::memcpy(placeMixture(cell, arena), call.mixture, sizeof(float) * plan.edges * plan.columns);
  std::memcpy(const_cast<float*>(cell.bypassWeights), call.bypass, sizeof(float) * plan.edges);
  planShuffle(cell, false);
  zeroFrames(cell, false);
  overItems(cell, plan.edges, [&](int e) {
    for (int norm = 0; norm <= kReduceNorm; norm++)
      if (cell.edges[e].convolution[norm].on) packConvolution(cell, cell.edges[e], norm, call.weights);
  });
  overImages(cell, [&](int n, int, Scratch&, bool) {
    for (int s = 0; s < 2; s++) {
      splitChannels(cell, call.inputs[s], n, 0, cell.inSize, image(cell, cell.states[s], cell.inSize, n),
          others(cell, cell.others[s], cell.inSize, n));
      passInput(cell, s, n);
    }
  });
  for (int state = 0; state < plan.states - 1; state++) {
    const Outgoing out = outgoing(cell, state);
    // A reduction cell's nodes are smaller than its inputs: the frame lies elsewhere, and must be zero again.
    if (state == 2 && plan.reduction) zeroFrames(cell, false);
    forwardFirst(cell, out, call.statistics);
    if (anySecond(cell, out)) forwardSecond(cell, out, call.statistics);
    addToNodes(cell, out, call.mixture);
  }
  overImages(cell, [&](int n, int, Scratch& s, bool) {
    completeNode(cell, plan.states - 1, n, s);
    for (int i = 0; i < plan.nodes; i++)
      joinChannels(cell, image(cell, cell.states[2 + i], cell.nodeSize, n), others(cell, cell.others[2 + i], cell.nodeSize, n),
          call.output, n, i * plan.cellChannels, cell.nodeSize);
  });
  delete &cell;
}

DARTS_END
