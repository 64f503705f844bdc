// Backward of a cell, states in reverse: when a state's turn comes, its own gradient is complete.
// D stands for the gradient of the node that an edge adds to. Phases over the images:
//   D  the sums ΣD, ΣD·(y - mean) that the normalisations' gradients and the mixture's need
//   E  second halves of separable convolutions, down to the gradients at their first normalisations
//   F  first halves of all edges into one gradient, which the one ReLU mask of the state lets through; then both
//      poolings and the skip connections, once for the state: they are linear in D
#pragma once

#include "norm_gradients.h"

DARTS_BEGIN

// Lets the gradient dx through to dz where z = max(scale·y + shift, 0) is positive. Its sums are those of the normalisation
// before the ReLU: Σdz, and Σdz·(y - mean). Without a scale z is the normalised value itself where it counts, and
// Σdz·z spares the reading of y; a scale may be zero, so there it cannot be had from z.
template <bool Affine, class T>
inline void maskFirst(const Cell& cell, const BatchNorm& norm, const T* y, const float* z, const float* dx, T* dz,
    float* sums) {
  const Size node = cell.nodeSize;
  for (int b = 0; b < cell.blocks; b++) {
    const V mean = load(norm.mean + b * L);
    V sum = zero(), product = zero();
    for (int r = 0; r < node.height; r++) {
      const float* value = z + b * node.framedBlock() + node.framed(r, 0);
      const size_t at = b * node.block() + static_cast<size_t>(r) * node.width * L;
      for (int i = 0; i < node.width; i++) {
        const V v = load(value + i * L), masked = rounded<T>(keepWhere(v > zero(), load(dx + at + i * L)));
        stream(dz + at + i * L, masked);
        sum += masked;
        product = fma(masked, Affine ? load(y + at + i * L) - mean : v, product);
      }
    }
    store(sums + b * L, sum);
    store(sums + cell.channels + b * L, product);
  }
}

// Where the memory lies that comes after the k-th unit's: the next one's, and after the last one the next image's.
inline void lookAhead(const Cell& cell, const Unit* units, int count, int k, int n, Scratch& s) {
  const Unit& next = units[k + 1 < count ? k + 1 : 0];
  const size_t at = (k + 1 < count ? n : n + 1) * cell.imageFloats(cell.nodeSize);
  s.next = {next.gradient(cell) + at, next.convolution().y + at};
}

inline void backwardSecond(Cell& cell, const Outgoing& out, const BackwardCall& call) {
  const Size node = cell.nodeSize;
  Unit units[kSeparables * kMaxEdges];
  const int count = unitsOf(cell, out, kSep3Second, kUnits, units);
  overChunks(cell, cell.fold, [&](int n, float* g, Scratch& s) {
    for (int k = 0; k < count; k++) {
      const Unit& unit = units[k];
      const Edge& edge = *unit.edge;
      const int q = unit.norm - kSep3Second;
      const Convolution &first = edge.convolution[q], &c = unit.convolution();
      const Saved saved = image(cell, first.y, node, n);
      withSaved(saved, [&](const auto* y) { frameNormRelu(y, first.scale, first.shift, cell.blocks, node, s.z); });
      const Gradient d{{image(cell, cell.gradients[edge.plan->target], node, n)}, cell.pathScale(edge, n)};
      const Saved dz = image(cell, edge.firstGradients[q], node, n);
      lookAhead(cell, units, count, k, n, s);
      withShape(unit.norm, 1, [&](auto shape) {
        unitBackward(cell, c, s.z, node, d, image(cell, c.y, node, n), g, s.dx, false, s, shape);
      });
      float* sums = cell.partial(n, kSlotsOfEdge * unit.index + 2 * q);
      const auto mask = [&](const auto* y, auto* to) {
        if (edge.plan->norm[q].scale >= 0) maskFirst<true>(cell, first, y, s.z, s.dx, to, sums);
        else maskFirst<false>(cell, first, y, s.z, s.dx, to, sums);
      };
      if (dz.halves) mask(saved.halves, dz.halves);
      else mask(saved.floats, dz.floats);
    }
  });
  struct { const Edge* edge; int norm, slot; } firsts[kMaxEdges * kSeparables];
  int items = 0;
  for (int i = 0; i < out.count; i++)
    for (int q = 0; q < kSeparables; q++)
      if (cell.edges[out.list[i]].convolution[q].on) firsts[items++] = {&cell.edges[out.list[i]], q, kSlotsOfEdge * i + 2 * q};
  overItems(cell, items, [&](int item) {
    const Edge& edge = *firsts[item].edge;
    const int norm = firsts[item].norm, slot = firsts[item].slot;
    const Convolution& c = edge.convolution[norm];
    total(cell.partials, slot, nullptr);
    total(cell.partials, slot + 1, nullptr);
    double *sumD = cell.partials.total(slot), *centered = cell.partials.total(slot + 1);
    if (edge.plan->norm[norm].scale < 0)
      for (size_t k = 0; k < cell.channels; k++) centered[k] = c.rstd[k] == 0 ? 0 : centered[k] / c.rstd[k];
    affineGradients(cell, edge.plan->norm[norm], c, sumD, centered, 1, call.weightGradients);
    const double count = spread(cell, cell.partials);
    for (size_t k = 0; k < cell.channels; k++) c.set(k, normBackward(c, k, sumD[k], centered[k], 1, count));
  });
}

// What came in for a state, as its gradient.
inline void beginGradient(const Cell& cell, int state, int n) {
  const Size size = cell.sizeOf(state);
  const size_t bytes = cell.imageFloats(size) * sizeof(float);
  float* gradient = image(cell, cell.gradients[state], size, n);
  if (!cell.incoming[state]) std::memset(gradient, 0, bytes);
  else if (cell.incoming[state] != cell.gradients[state]) std::memcpy(gradient, image(cell, cell.incoming[state], size, n), bytes);
}

// What came in for the state, and everything below its ReLU, for one image.
inline void backwardFirst(Cell& cell, const Outgoing& out, int n, float* g, Scratch& s) {
  if (!out.convolutions) return beginGradient(cell, out.state, n);
  const Size size = cell.sizeOf(out.state), node = cell.nodeSize;
  const BatchNorm& norm = cell.normOf(out.state);
  frameNormRelu(image(cell, cell.states[out.state], size, n), norm.scale, norm.shift, cell.blocks, size, s.x);
  Unit units[kSep3Second * kMaxEdges];
  const int count = unitsOf(cell, out, 0, kSep3Second, units);
  for (int k = 0; k < count; k++) {
    const Unit& unit = units[k];
    const Convolution& c = unit.convolution();
    const V path = unit.norm < kSeparables ? all(1) : cell.pathScale(*unit.edge, n);
    const Gradient d{image(cell, unit.gradient(cell), node, n), path};
    lookAhead(cell, units, count, k, n, s);
    withShape(unit.norm, out.stride, [&](auto shape) {
      unitBackward(cell, c, s.x, size, d, image(cell, c.y, node, n), g, s.dx, k > 0, s, shape);
    });
  }
  if (count == 0) std::memset(s.dx, 0, cell.imageFloats(size) * sizeof(float));
  for (int i = 0; i < out.count; i++) {
    const Edge& edge = cell.edges[out.list[i]];
    const Convolution& reduce = edge.convolution[kReduceNorm];
    if (!reduce.on) continue;
    const Gradient d{{image(cell, cell.gradients[edge.plan->target], node, n)}, cell.pathScale(edge, n)};
    reduceBackward(cell, reduce, s.x, d, image(cell, reduce.y, node, n), g, s.dx, s);
  }
  const float* begun = cell.incoming[out.state] ? image(cell, cell.incoming[out.state], size, n) : nullptr;
  float* gradient = image(cell, cell.gradients[out.state], size, n);
  for (int b = 0; b < cell.blocks; b++)
    for (int y = 0; y < size.height; y++) {
      const float* x = s.x + b * size.framedBlock() + size.framed(y, 0);
      const size_t at = b * size.block() + static_cast<size_t>(y) * size.width * L;
      for (int i = 0; i < size.width; i++)
        store(gradient + at + i * L, (begun ? load(begun + at + i * L) : zero()) + keepWhere(load(x + i * L) > zero(),
            load(s.dx + at + i * L)));
    }
}

// Poolings and skip connections of all edges, for one image.
inline void backwardPools(Cell& cell, const Outgoing& out, int n, Scratch& s) {
  const Size size = cell.sizeOf(out.state), node = cell.nodeSize;
  const float* x = image(cell, cell.states[out.state], size, n);
  float* gradient = image(cell, cell.gradients[out.state], size, n);
  const Mask present = firstLanes(s.lanes);
  for (int b = 0; b < cell.blocks; b++) {
    const Scaled scaled = scaledBy(cell.normOf(out.state), b);
    overNodeTiles(cell, [&](int y, int rows, int pixels, size_t inBlock) {
      const size_t at = b * node.block() + inBlock;
      if (out.pools) {
        poolRows(x + b * size.block(), size, out.stride, y, rows, node.width, s.pooledMax, s.pooledMean, scaled);
        for (int q = 0; q < 2; q++) {
          const V pb = keepWhere(present, load(cell.poolB[q] + b * L)), pk = keepWhere(present, load(cell.poolK[q] + b * L));
          const float* pooled = q == 0 ? s.pooledMax : s.pooledMean;
          float* to = (q == 0 ? s.dMax : s.dMean) + inBlock;
          for (int p = 0; p < pixels; p++) store(to + p * L, fma(load(pooled + p * L), pb, pk));
        }
      }
      for (int i = 0; i < out.count; i++) {
        const Edge& edge = cell.edges[out.list[i]];
        const float* d = image(cell, cell.gradients[edge.plan->target], node, n) + at;
        const V path = cell.pathScale(edge, n);
        const auto addScaled = [&](float* to, V weight) DARTS_LAMBDA {
          for (int p = 0; p < pixels; p++) store(to + p * L, fma(load(d + p * L), weight, load(to + p * L)));
        };
        for (int q = 0; q < 2; q++)
          if (edge.pooling[q].on) addScaled((q == 0 ? s.dMax : s.dMean) + inBlock, load(edge.pooling[q].a + b * L) * path);
        if (edge.skips()) addScaled(gradient + at, all(cell.mixtureWeight(edge, kSkip)) * path);
      }
    });
    if (out.pools) poolBackward(x + b * size.block(), scaled, size, node, out.stride, s.dMax, s.dMean, {s.frames.x,
        s.frames.gradient}, gradient + b * size.block());
  }
}

// What came in for a state, as cells hand it on; null if it is not put out.
inline const float* wholeIncoming(const Cell& cell, int state, const float* outputGradient) {
  const Plan& plan = *cell.plan;
  for (int i = 0; i < plan.outputs; i++)
    if (plan.output[i] == state) return outputGradient + i * plan.images * cell.whole.imageFloats(cell.nodeSize);
  return nullptr;
}

// Where what a state's gradient begins with lies. It is not ours to add to, but read where it lies.
inline void findIncoming(Cell& cell, int state, const float* outputGradient) {
  const float* whole = wholeIncoming(cell, state, outputGradient);
  int list[kMaxEdges];
  cell.incoming[state] = cell.direct() ? whole : cell.gradients[state];
  // No edge adds anything to it.
  if (cell.direct() && whole && edgesFrom(*cell.plan, state, list) == 0) cell.gradients[state] = const_cast<float*>(whole);
}

// What a state's gradient begins with, as the operations see it, for one image.
inline void takeGradient(const Cell& cell, int state, int n, const float* outputGradient) {
  if (cell.direct()) return;
  const float* whole = wholeIncoming(cell, state, outputGradient);
  const Size size = cell.sizeOf(state);
  float *seen = image(cell, cell.gradients[state], size, n), *bypassed = others(cell, cell.otherGradients[state], size, n);
  if (whole) return enterState(cell, whole, nullptr, size, n, seen, bypassed);
  std::memset(seen, 0, cell.imageFloats(size) * sizeof(float));
  if (cell.plan->groups > 1) std::memset(bypassed, 0, cell.otherFloats(size) * sizeof(float));
}

// A gradient of one image, which is complete, as the whole state's, where somebody wants that; of an input, its sums.
inline void putGradient(const Cell& cell, int state, int n, const BackwardCall& call) {
  const Size size = cell.sizeOf(state);
  float* whole = state < 2 ? cell.wholeGradients[state] : call.givenGradients[state];
  float* seen = image(cell, cell.gradients[state], size, n);
  if (whole && !cell.direct()) leaveState(cell, seen, others(cell, cell.otherGradients[state], size, n), size, n, whole);
  else if (whole && whole != cell.gradients[state]) std::memcpy(whole + n * cell.imageFloats(size), seen, cell.imageFloats(size) * sizeof(float));
  if (state < 2 && cell.inputs[state].on())
    for (int i = 0; i < cell.fold.present(n); i++) inputSums(cell, state, n * cell.fold.together + i);
}

// The gradient of the last state, which is complete from the start.
inline void beginLast(Cell& cell, const BackwardCall& call) {
  const int last = call.plan->states - 1;
  overImages(cell, [&](int n, Scratch& s) {
    takeGradient(cell, last, n, call.outputGradient);
    if (cell.direct() && !cell.incoming[last]) beginGradient(cell, last, n);
    putGradient(cell, last, n, call);
    takeApart(cell, last, n, s);
  });
}

inline void backwardState(Cell& cell, int state, const BackwardCall& call) {
  const Outgoing out = outgoing(cell, state);
  if (out.count > 0) {
    gradientSums(cell, out);
    gradientsOfNorms(cell, out, call);
    if (call.plan->groups > 1) gradientsOfBypass(cell, out, call.bypassGradient);
  }
  if (state < 2 && !call.inputGradients[state] && !call.wantsWeights) return;
  if (out.second) backwardSecond(cell, out, call);
  overChunks(cell, cell.fold, [&](int n, float* g, Scratch& s) {
    takeGradient(cell, state, n, call.outputGradient);
    backwardFirst(cell, out, n, g, s);
    if (out.count > 0) backwardPools(cell, out, n, s);
    backwardBypass(cell, state, out.list, out.count, n, s);
    putGradient(cell, state, n, call);
    takeApart(cell, state, n, s);
  });
  if (!call.wantsWeights) return;
  overItems(cell, out.count * (kReduceNorm + 1), [&](int item) {
    const Edge& edge = cell.edges[out.list[item / (kReduceNorm + 1)]];
    const int norm = item % (kReduceNorm + 1);
    if (edge.convolution[norm].on) unpackGradients(cell, edge, norm, call.weightGradients);
  });
}

inline void backwardCell(Cell& cell, const BackwardCall& call) {
  const Plan& plan = *call.plan;
  Supply arena{call.arena}, scratch{call.scratch};
  placeArena(cell, arena, true);
  placeScratch(cell, scratch, true);
  placeBackward(cell, scratch);
  attachStates(cell, call.inputs, call.output);
  cell.wantsWeights = call.wantsWeights;
  for (int i = 0; i < 2; i++) {
    if (cell.inputs[i].on()) continue;
    cell.wholeGradients[i] = call.inputGradients[i];
    if (cell.direct() && call.inputGradients[i]) cell.gradients[i] = call.inputGradients[i];
  }
  planShuffle(cell, true);
  planCrossing(cell);
  zeroFrames(cell, true);
  for (int state = 0; state < plan.states; state++) findIncoming(cell, state, call.outputGradient);
  beginLast(cell, call);
  for (int state = plan.states - 2; state >= 0; state--) {
    // The frame of the larger inputs lies elsewhere.
    if (state == 1 && plan.reduction) zeroFrames(cell, true);
    backwardState(cell, state, call);
  }
  preprocessBackward(cell, call);
}

DARTS_END
