// Backward of a cell, states in reverse: when a state's turn comes, its own gradient is complete.
// D stands for the gradient of the node that an edge adds to. Phases over the images:
//   D  the sums ΣD, ΣD·(y - mean) that the normalisations' gradients and the mixture's need
//   E  second halves of separable convolutions, down to the gradients at their first normalisations
//   F  first halves of all edges into one gradient, which the one ReLU mask of the state lets through; then both
//      poolings and the skip connections, once for the state: they are linear in D
#pragma once

#include "cell_forward.h"

DARTS_BEGIN

// Slots of the partial sums in phase D: ΣD, then one for each term in the order that `edgeTerms` lists them;
// in phase E: Σdz and what goes with the value before the normalisation, of each separable convolution.
// The terms are an edge's operations, as norms, whose gradients need sums: those with a normalisation or a weight.
inline int edgeTerms(const Edge& edge, int* norms) {
  int count = 0;
  for (int u : kOutputNorms)
    if (edge.convolution[u].on) norms[count++] = u;
  for (int q = 0; q < 2; q++) {
    const int norm = kMaxNorm + q;
    if (edge.pooling[q].on && (edge.plan->norm[norm] >= 0 || edge.plan->mixture[kOperationOf[norm]] >= 0)) norms[count++] = norm;
  }
  return count;
}

inline bool weighsSkip(const Edge& edge) { return edge.skips() && edge.plan->mixture[kSkip] >= 0; }

inline void edgeDots(Cell& cell, const Outgoing& out, int i, int n, int b, int y, const Scratch& s) {
  const Edge& edge = cell.edges[out.list[i]];
  const Size node = cell.nodeSize;
  const size_t at = b * node.block() + static_cast<size_t>(y) * node.width * L;
  int norms[Terms::kMost];
  const int count = edgeTerms(edge, norms);
  Terms terms;
  for (int t = 0; t < count; t++) {
    const int norm = norms[t];
    if (norm == kMaxNorm) terms.add(s.pooledMax, load(edge.pooling[0].mean + b * L));
    else if (norm == kAvgNorm) terms.add(s.pooledMean, load(edge.pooling[1].mean + b * L));
    else terms.add(image(cell, edge.convolution[norm].y, node, n) + at, load(edge.convolution[norm].mean + b * L));
  }
  if (weighsSkip(edge)) terms.add(image(cell, cell.states[out.state], cell.sizeOf(out.state), n) + at, zero());
  if (terms.count == 0) return;
  const float* d = image(cell, cell.gradients[edge.plan->target], node, n) + at;
  float* dots = cell.partial(n, kSlotsOfEdge * i) + b * L;
  withCount(terms.count, [&](auto terms_) DARTS_LAMBDA { dotRow<decltype(terms_)::value>(terms, d, node.width, dots,
      cell.channels); });
}

inline void gradientSums(Cell& cell, const Outgoing& out) {
  const Size size = cell.sizeOf(out.state), node = cell.nodeSize;
  bool pools = false, any = false;
  for (int i = 0; i < out.count; i++) {
    int norms[Terms::kMost];
    const Edge& edge = cell.edges[out.list[i]];
    const int count = edgeTerms(edge, norms);
    pools = pools || (count > 0 && norms[count - 1] >= kMaxNorm);
    any = any || count > 0 || weighsSkip(edge);
  }
  if (!any) return;  // so there are no convolutions either
  overImages(cell, [&](int n, int chunk, Scratch& s, bool first) {
    if (first && cell.wantsWeights) std::memset(cell.weightGradients + chunk * cell.chunkFloats, 0,
        cell.chunkFloats * sizeof(float));
    zeroPartials(cell, n);
    const float* x = image(cell, cell.states[out.state], size, n);
    for (int b = 0; b < cell.blocks; b++)
      for (int y = 0; y < node.height; y++) {
        if (pools) poolRow(x + b * size.block(), size, out.stride, y, node.width, s.columns, s.pooledMax, s.pooledMean);
        for (int i = 0; i < out.count; i++) edgeDots(cell, out, i, n, b, y, s);
      }
  });
}

// Adds up Σ a·b over the cell's own channels.
inline double product(const Cell& cell, const float* a, const double* b) {
  double sum = 0;
  for (int c = 0; c < cell.plan->channels; c++) sum += a[c] * b[c];
  return sum;
}

// What a normalisation that an edge ends with makes of the sums of phase D: how its gradient depends on D, and the
// gradients of its scale, shift and mixture weight.
inline void gradientOfNorm(Cell& cell, Edge& edge, int norm, const double* sumD, const double* centered,
    const BackwardCall& call) {
  const int operation = kOperationOf[norm], index = edge.plan->mixture[operation];
  const double w = cell.mixtureWeight(edge, operation);
  const BatchNorm& values = norm >= kMaxNorm ? static_cast<BatchNorm&>(edge.pooling[norm - kMaxNorm]) : edge.convolution[norm];
  // D·(scale·y + shift) = scale·D·(y - mean) + beta·D, where a bare pooling has scale 1 and no mean.
  if (index >= 0) call.mixtureGradient[index] += static_cast<float>(product(cell, values.scale, centered) + product(cell, values.beta, sumD));
  affineGradients(cell, edge, norm, values, sumD, centered, w, call.weightGradients);
  for (size_t c = 0; c < cell.channels; c++) {
    if (norm < kMaxNorm) {
      const Convolution& v = edge.convolution[norm];
      const Affine affine = normBackward(cell, v, c, sumD[c], centered[c], w);
      v.a[c] = static_cast<float>(affine.a);
      v.b[c] = static_cast<float>(affine.b);
      v.k[c] = static_cast<float>(affine.k);
    } else if (edge.plan->norm[norm] >= 0) {
      const Affine affine = normBackward(cell, values, c, sumD[c], centered[c], w);
      edge.pooling[norm - kMaxNorm].a[c] = static_cast<float>(affine.a);
      cell.poolB[norm - kMaxNorm][c] += static_cast<float>(affine.b);
      cell.poolK[norm - kMaxNorm][c] += static_cast<float>(affine.k);
    }
  }
}

inline void gradientsOfNorms(Cell& cell, const Outgoing& out, const BackwardCall& call) {
  double *sumD = cell.sums, *centered = cell.sums + cell.channels;
  for (int q = 0; q < 2; q++) {
    std::memset(cell.poolB[q], 0, cell.channels * sizeof(float));
    std::memset(cell.poolK[q], 0, cell.channels * sizeof(float));
  }
  for (int i = 0; i < out.count; i++) {
    Edge& edge = cell.edges[out.list[i]];
    const float* paths = cell.pathsOf(edge);
    int norms[Terms::kMost];
    const int count = edgeTerms(edge, norms);
    if (count > 0) total(cell, kSlotsOfEdge * i, paths, sumD);
    for (int t = 0; t < count; t++) {
      total(cell, kSlotsOfEdge * i + 1 + t, paths, centered);
      gradientOfNorm(cell, edge, norms[t], sumD, centered, call);
    }
    if (weighsSkip(edge)) {
      total(cell, kSlotsOfEdge * i + 1 + count, nullptr, centered);
      double sum = 0;
      for (int c = 0; c < cell.plan->channels; c++) sum += centered[c];
      call.mixtureGradient[edge.plan->mixture[kSkip]] += static_cast<float>(sum);
    }
    for (int q = 0; q < 2; q++) {
      if (!edge.pooling[q].on || edge.plan->norm[kMaxNorm + q] >= 0) continue;
      const float w = cell.mixtureWeight(edge, kOperationOf[kMaxNorm + q]);
      for (size_t c = 0; c < cell.channels; c++) edge.pooling[q].a[c] = w;
    }
  }
}

// Lets the gradient dz through where z = max(scale·y + shift, 0) is positive. Its sums are those of the normalisation
// before the ReLU: Σdz, and Σdz·(y - mean). Without a scale z is the normalised value itself where it counts, and
// Σdz·z spares the reading of y; a scale may be zero, so there it cannot be had from z.
template <bool Affine>
inline void maskFirst(const Cell& cell, const BatchNorm& norm, const float* y, const float* z, float* dz, float* sums) {
  const Size node = cell.nodeSize;
  for (int b = 0; b < cell.blocks; b++) {
    const V mean = load(norm.mean + b * L);
    V sum = zero(), product = zero();
    for (int r = 0; r < node.height; r++) {
      const float* value = z + b * node.framedBlock() + node.framed(r, 0);
      const size_t at = b * node.block() + static_cast<size_t>(r) * node.width * L;
      for (int i = 0; i < node.width; i++) {
        float* d = dz + at + i * L;
        const V v = load(value + i * L), masked = keepWhere(v > zero(), load(d));
        store(d, masked);
        sum += masked;
        product = fma(masked, Affine ? load(y + at + i * L) - mean : v, product);
      }
    }
    store(sums + b * L, sum);
    store(sums + cell.channels + b * L, product);
  }
}

inline void backwardSecond(Cell& cell, const Outgoing& out, const BackwardCall& call) {
  const Size node = cell.nodeSize;
  overImages(cell, [&](int n, int chunk, Scratch& s, bool) {
    float* g = cell.weightGradients + chunk * cell.chunkFloats;
    for (int i = 0; i < out.count; i++) {
      const Edge& edge = cell.edges[out.list[i]];
      for (int q = 0; q < kSeparables; q++) {
        const Convolution &first = edge.convolution[q], &c = edge.convolution[kSep3Second + q];
        if (!c.on) continue;
        const float* y = image(cell, first.y, node, n);
        frameNormRelu(y, first.scale, first.shift, cell.blocks, node, s.z);
        const Gradient d{image(cell, cell.gradients[edge.plan->target], node, n), cell.pathScale(edge, n)};
        float* dz = image(cell, edge.firstGradients[q], node, n);
        withShape(kSep3Second + q, 1, [&](auto shape) {
          unitBackward(cell, c, s.z, node, d, image(cell, c.y, node, n), g, dz, false, s, shape);
        });
        float* sums = cell.partial(n, kSlotsOfEdge * i + 2 * q);
        if (edge.plan->scale[q] >= 0) maskFirst<true>(cell, first, y, s.z, dz, sums);
        else maskFirst<false>(cell, first, y, s.z, dz, sums);
      }
    }
  });
  double *sumD = cell.sums, *centered = cell.sums + cell.channels;
  for (int i = 0; i < out.count; i++) {
    const Edge& edge = cell.edges[out.list[i]];
    for (int q = 0; q < kSeparables; q++) {
      const Convolution& c = edge.convolution[q];
      if (!c.on) continue;
      total(cell, kSlotsOfEdge * i + 2 * q, nullptr, sumD);
      total(cell, kSlotsOfEdge * i + 2 * q + 1, nullptr, centered);
      if (edge.plan->scale[q] < 0)
        for (int k = 0; k < cell.plan->channels; k++) centered[k] /= c.rstd[k];
      affineGradients(cell, edge, q, c, sumD, centered, 1, call.weightGradients);
      for (size_t k = 0; k < cell.channels; k++) {
        const Affine affine = normBackward(cell, c, k, sumD[k], centered[k], 1);
        c.a[k] = static_cast<float>(affine.a);
        c.b[k] = static_cast<float>(affine.b);
        c.k[k] = static_cast<float>(affine.k);
      }
    }
  }
}

// Everything below the state's ReLU, for one image.
inline void backwardFirst(Cell& cell, const Outgoing& out, int n, int chunk, Scratch& s) {
  if (!out.convolutions) return;
  const Size size = cell.sizeOf(out.state), node = cell.nodeSize;
  float* g = cell.weightGradients + chunk * cell.chunkFloats;
  frameRelu(image(cell, cell.states[out.state], size, n), cell.blocks, size, s.x);
  bool add = false;
  for (int i = 0; i < out.count; i++) {
    const Edge& edge = cell.edges[out.list[i]];
    const Gradient nodeGradient{image(cell, cell.gradients[edge.plan->target], node, n), cell.pathScale(edge, n)};
    for (int u = 0; u < kSep3Second; u++) {
      const Convolution& c = edge.convolution[u];
      if (!c.on) continue;
      const Gradient d = u < kSeparables ? Gradient{image(cell, edge.firstGradients[u], node, n), 1} : nodeGradient;
      withShape(u, edge.plan->stride, [&](auto shape) {
        unitBackward(cell, c, s.x, size, d, image(cell, c.y, node, n), g, s.dx, add, s, shape);
      });
      add = true;
    }
    const Convolution& reduce = edge.convolution[kReduceNorm];
    if (!reduce.on) continue;
    if (!add) std::memset(s.dx, 0, cell.imageFloats(size) * sizeof(float));
    reduceBackward(cell, reduce, s.x, nodeGradient, image(cell, reduce.y, node, n), g, s.dx, s);
    add = true;
  }
  float* gradient = image(cell, cell.gradients[out.state], size, n);
  for (int b = 0; b < cell.blocks; b++)
    for (int y = 0; y < size.height; y++) {
      const float* x = s.x + b * size.framedBlock() + size.framed(y, 0);
      const size_t at = b * size.block() + static_cast<size_t>(y) * size.width * L;
      for (int i = 0; i < size.width; i++)
        store(gradient + at + i * L, load(gradient + at + i * L) + keepWhere(load(x + i * L) > zero(),
            load(s.dx + at + i * L)));
    }
}

// Poolings and skip connections of all edges, for one image.
inline void backwardPools(Cell& cell, const Outgoing& out, int n, Scratch& s) {
  const Size size = cell.sizeOf(out.state), node = cell.nodeSize;
  const float* x = image(cell, cell.states[out.state], size, n);
  float* gradient = image(cell, cell.gradients[out.state], size, n);
  for (int b = 0; b < cell.blocks; b++) {
    for (int y = 0; y < node.height; y++) {
      const size_t at = b * node.block() + static_cast<size_t>(y) * node.width * L,
          inBlock = static_cast<size_t>(y) * node.width * L;
      if (out.pools) {
        poolRow(x + b * size.block(), size, out.stride, y, node.width, s.columns, s.pooledMax, s.pooledMean);
        for (int q = 0; q < 2; q++) {
          const V pb = load(cell.poolB[q] + b * L), pk = load(cell.poolK[q] + b * L);
          const float* pooled = q == 0 ? s.pooledMax : s.pooledMean;
          float* to = (q == 0 ? s.dMax : s.dMean) + inBlock;
          for (int i = 0; i < node.width; i++) store(to + i * L, fma(load(pooled + i * L), pb, pk));
        }
      }
      for (int i = 0; i < out.count; i++) {
        const Edge& edge = cell.edges[out.list[i]];
        const float* d = image(cell, cell.gradients[edge.plan->target], node, n) + at;
        const V path = all(cell.pathScale(edge, n));
        const auto addScaled = [&](float* to, V weight) DARTS_LAMBDA {
          for (int p = 0; p < node.width; p++) store(to + p * L, fma(load(d + p * L), weight, load(to + p * L)));
        };
        for (int q = 0; q < 2; q++)
          if (edge.pooling[q].on) addScaled((q == 0 ? s.dMax : s.dMean) + inBlock, load(edge.pooling[q].a + b * L) * path);
        if (edge.skips()) addScaled(gradient + at, all(cell.mixtureWeight(edge, kSkip)));
      }
    }
    if (out.pools) poolBackward(x + b * size.block(), size, node, out.stride, s.dMax, s.dMean, {s.frames.x,
        s.frames.gradient}, gradient + b * size.block());
  }
}

inline void backward(const BackwardCall& call) {
  const Plan& plan = *call.plan;
  Cell& cell = *new Cell;
  describe(cell, plan, call.threads);
  Supply arena{call.arena}, scratch{call.scratch};
  placeArena(cell, arena, true);
  placeScratch(cell, scratch, true);
  cell.wantsWeights = call.wantsWeights;
  zeroFrames(cell, true);
  overImages(cell, [&](int n, int, Scratch&, bool) {
    bool isOutput[kMaxStates] = {};
    for (int i = 0; i < plan.outputs; i++) {
      const int state = plan.output[i];
      isOutput[state] = true;
      toBlocks(call.outputGradient, n, plan.channels, i * plan.channels, cell.nodeSize, image(cell,
          cell.gradients[state], cell.nodeSize, n));
    }
    for (int s = 0; s < plan.states; s++)
      if (!isOutput[s]) std::memset(image(cell, cell.gradients[s], cell.sizeOf(s), n), 0,
          cell.imageFloats(cell.sizeOf(s)) * sizeof(float));
  });
  for (int state = plan.states - 2; state >= 0; state--) {
    const Outgoing out = outgoing(cell, state);
    // The frame of the larger inputs lies elsewhere.
    if (state == 1 && plan.reduction) zeroFrames(cell, true);
    if (out.count == 0) continue;
    gradientSums(cell, out);
    gradientsOfNorms(cell, out, call);
    if (state < 2 && !call.wantsInputs && !call.wantsWeights) continue;
    if (out.second) backwardSecond(cell, out, call);
    overImages(cell, [&](int n, int chunk, Scratch& s, bool) {
      backwardFirst(cell, out, n, chunk, s);
      backwardPools(cell, out, n, s);
    });
    if (!call.wantsWeights) continue;
    overItems(cell, out.count * (kReduceNorm + 1), [&](int item) {
      const Edge& edge = cell.edges[out.list[item / (kReduceNorm + 1)]];
      const int norm = item % (kReduceNorm + 1);
      if (edge.convolution[norm].on) unpackGradients(cell, edge, norm, call.weightGradients);
    });
  }
  if (call.wantsInputs) overImages(cell, [&](int n, int, Scratch&, bool) {
    for (int s = 0; s < plan.states; s++) {
      if (s >= 2 && !plan.given[s]) continue;
      const Size size = cell.sizeOf(s);
      fromBlocks(image(cell, cell.gradients[s], size, n), s < 2 ? call.inputGradients[s] : call.givenGradients[s], n,
          plan.channels, 0, size);
    }
  });
  delete &cell;
}

DARTS_END
