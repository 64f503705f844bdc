// Forward of a cell, state by state, all edges that leave a state together. Three phases over the images, because a
// normalisation needs the whole batch before its values can be used:
//   A  a node is summed: normalisation, mixture weight and sum are one multiplication and addition an operation. Then
//      all that needs the state only: first halves of separable convolutions, dilated ones, reductions, poolings' sums
//   B  second halves, from the normalised and rectified first ones, which are never stored
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
    const Scaled scaled = scaledBy(cell.normOf(out.state), b);
    V sum[6] = {zero(), zero(), zero(), zero(), zero(), zero()};  // as addStatistics has them, for both poolings
    for (int y = 0; y < node.height; y++) {
      poolRow(x + b * size.block(), size, out.stride, y, node.width, s.pooledMax, s.pooledMean, scaled);
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

// The convolutions whose normalised outputs are an edge's: their y is what its nodes and gradients read.
constexpr int kOutputNorms[] = {kDil3Unit, kDil5Unit, kSep3Second, kSep5Second, kSep7Second, kReduceNorm};

// Adds a tile of what comes from the edges into a node, `rows` rows from `y` on of block `b`: once, when all is there.
inline void sumTile(const Cell& cell, int state, const int* edges, int count, int n, int b, int y, int rows, Scratch& s) {
  const Size node = cell.nodeSize;
  const size_t at = b * node.block() + static_cast<size_t>(y) * node.width * L;
  float* to = image(cell, cell.states[state], node, n) + at;
  bool begun = cell.plan->given[state];
  Terms<> terms;
  Terms<Bfloat16> saved;
  V constant = zero();
  const auto flush = [&](auto& terms) DARTS_LAMBDA {
    withCount(terms.count, [&](auto number) DARTS_LAMBDA {
      constexpr int N = decltype(number)::value;
      if (begun) weightedRow<N, false>(terms, constant, rows * node.width, to);
      else weightedRow<N, true>(terms, constant, rows * node.width, to);
    });
    begun = true;
    terms.count = 0;
    constant = zero();
  };
  const auto addTo = [&](auto& terms, const auto* row, V weight, const BatchNorm& norm) DARTS_LAMBDA {
    if (terms.count == kMostTerms) flush(terms);
    terms.add(row, weight * load(norm.scale + b * L));
    constant += weight * load(norm.shift + b * L);
  };
  const auto add = [&](const float* row, V weight, const BatchNorm& norm) DARTS_LAMBDA { addTo(terms, row, weight, norm); };
  for (int i = 0; i < count; i++) {
    const Edge& edge = cell.edges[edges[i]];
    const int source = edge.plan->source;
    const Size size = cell.sizeOf(source);
    const float* x = image(cell, cell.states[source], size, n);
    const V path = cell.pathScale(edge, n);
    const auto weight = [&](Operation operation) DARTS_LAMBDA { return path * all(cell.mixtureWeight(edge, operation)); };
    for (int u : kOutputNorms) {
      const Convolution& c = edge.convolution[u];
      if (!c.on) continue;
      const Saved row = image(cell, c.y, node, n) + at;
      if (row.halves) addTo(saved, row.halves, weight(kOperationOf[u]), c);
      else add(row.floats, weight(kOperationOf[u]), c);
    }
    if (edge.skips()) add(x + at, weight(kSkip), cell.normOf(source));
    if (!edge.pooling[0].on && !edge.pooling[1].on) continue;
    poolRows(x + b * size.block(), size, edge.plan->stride, y, rows, node.width, s.pooledMax, s.pooledMean,
        scaledBy(cell.normOf(source), b));
    if (edge.pooling[0].on) add(s.pooledMax, weight(kMaxPool), edge.pooling[0]);
    if (edge.pooling[1].on) add(s.pooledMean, weight(kAvgPool), edge.pooling[1]);
    flush(terms);  // before the next edge's poolings take their place
  }
  if (saved.count > 0) flush(saved);
  if (terms.count > 0 || !begun) flush(terms);
}

// Hands on a node of the n-th images, which is complete, if it is put out.
inline void putState(const Cell& cell, int state, int n) {
  if (cell.direct() || !isOutput(*cell.plan, state)) return;
  const Size node = cell.nodeSize;
  leaveState(cell, image(cell, cell.states[state], node, n), others(cell, cell.others[state], node, n), node, n, cell.wholeStates[state]);
}

inline void sumNode(const Cell& cell, int state, int n, Scratch& s) {
  int edges[kMaxEdges];
  const int count = edgesInto(*cell.plan, state, edges);
  for (int b = 0; b < cell.blocks; b++)
    overNodeTiles(cell, [&](int y, int rows, int, size_t) { sumTile(cell, state, edges, count, n, b, y, rows, s); });
  completeNode(cell, state, n, s);
  putState(cell, state, n);
}

inline void forwardFirst(Cell& cell, const Outgoing& out) {
  const Size size = cell.sizeOf(out.state);
  const BatchNorm& norm = cell.normOf(out.state);
  const bool isNode = out.state >= 2;
  const size_t imageFloats = cell.imageFloats(size);
  if (isNode || out.convolutions || out.poolSums) overImages(cell, [&](int n, Scratch& s) {
    if (isNode) sumNode(cell, out.state, n, s);
    zeroPartials(cell, n);
    float* x = image(cell, cell.states[out.state], size, n);
    if (out.poolSums) poolSums(cell, out, x, n, s);
    if (!out.convolutions) return;
    if (!isNode) s.ahead.set({x + imageFloats}, {x + imageFloats + imageFloats / 2}, imageFloats / 2, 0, 1);
    frameNormRelu(x, norm.scale, norm.shift, cell.blocks, size, s.x);
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

// A convolution of an edge, the `index`-th that leaves its state.
struct Unit {
  const Edge* edge;
  int index, norm;
  const Convolution& convolution() const { return edge->convolution[norm]; }
  // What is behind its normalisation: the gradient of a node, or of the value that a second half reads.
  Saved gradient(const Cell& cell) const {
    return norm < kSeparables ? edge->firstGradients[norm] : Saved{cell.gradients[edge->plan->target]};
  }
};

// Those with a depthwise part from norm `begin` to `end`.
inline int unitsOf(const Cell& cell, const Outgoing& out, int begin, int end, Unit* list) {
  int count = 0;
  for (int i = 0; i < out.count; i++)
    for (int norm = begin; norm < end; norm++)
      if (cell.edges[out.list[i]].convolution[norm].on) list[count++] = {&cell.edges[out.list[i]], i, norm};
  return count;
}

inline void forwardSecond(Cell& cell, const Outgoing& out) {
  const Size node = cell.nodeSize;
  Unit units[kSeparables * kMaxEdges];
  const int count = unitsOf(cell, out, kSep3Second, kUnits, units);
  const auto firstOf = [](const Unit& unit) -> const Convolution& { return unit.edge->convolution[unit.norm - kSep3Second]; };
  const size_t imageFloats = cell.imageFloats(node), half = imageFloats / 2;
  overImages(cell, [&](int n, Scratch& s) {
    zeroPartials(cell, n);
    for (int k = 0; k < count; k++) {
      const Unit& unit = units[k];
      const Convolution& first = firstOf(unit);
      withSaved(image(cell, first.y, node, n), [&](const auto* y) { frameNormRelu(y, first.scale, first.shift, cell.blocks, node, s.z); });
      // What the next unit reads, or the next image's first one.
      const Saved next = firstOf(units[(k + 1) % count]).y + (k + 1 < count ? n : n + 1) * imageFloats;
      s.ahead.set(next, next + half, half, 0, 1);
      withShape(unit.norm, 1, [&](auto shape) {
        unitForward(cell, unit.convolution(), s.z, node, image(cell, unit.convolution().y, node, n),
            sumsOf(cell, n, unit.index, unit.norm), s, shape);
      });
    }
  });
  Unfinished list[kSeparables * kMaxEdges];
  for (int k = 0; k < count; k++) {
    const Unit& unit = units[k];
    list[k] = {unit.edge->plan->norm[unit.norm], normSlot(unit.index, unit.norm), &unit.convolution()};
  }
  finishNorms(cell, cell.partials, list, count);
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

// A state of the n-th images as the operations see it, from the whole one, or from its values before `norm`.
inline void takeState(const Cell& cell, int state, const float* whole, const BatchNorm* norm, int n) {
  const Size size = cell.sizeOf(state);
  float* seen = image(cell, cell.states[state], size, n);
  if (!cell.direct()) enterState(cell, whole, norm, size, n, seen, others(cell, cell.others[state], size, n));
  else if (seen != whole + n * cell.imageFloats(size)) std::memcpy(seen, whole + n * cell.imageFloats(size), cell.imageFloats(size) * sizeof(float));
}

inline void takeStates(const Cell& cell, const ForwardCall& call) {
  overImages(cell, [&](int n, Scratch&) {
    for (int s = 0; s < cell.plan->states; s++) {
      if (s < 2) takeState(cell, s, cell.wholeStates[s], cell.inputs[s].on() ? &cell.inputs[s].norm : nullptr, n);
      else if (cell.plan->given[s]) takeState(cell, s, call.given[s], nullptr, n);
    }
    for (int s = 0; s < 2; s++) passInput(cell, s, n);
  });
}

// What states without a normalisation are read through.
inline void makeIdentity(const Cell& cell) {
  const BatchNorm& norm = cell.identity;
  for (size_t c = 0; c < cell.channels; c++) {
    norm.mean[c] = norm.beta[c] = norm.shift[c] = 0;
    norm.rstd[c] = norm.gamma[c] = norm.scale[c] = 1;
  }
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
  makeIdentity(cell);
  zeroFrames(cell, false);
  preprocessForward(cell, call);
  takeStates(cell, call);
  for (int state = 0; state < plan.states; state++) {
    const Outgoing out = outgoing(cell, state);
    // A reduction cell's nodes are smaller than its inputs: the frame lies elsewhere, and must be zero again.
    if (state == 2 && plan.reduction) zeroFrames(cell, false);
    forwardFirst(cell, out);
    if (out.second) forwardSecond(cell, out);
  }
}

DARTS_END
