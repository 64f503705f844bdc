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
// in phase E: Σdz and Σdz·z of each separable convolution.
inline int edgeTerms(const Edge& edge, int* norms) {
  int count = 0;
  for (int u : kOutputNorms)
    if (edge.convolution[u].on) norms[count++] = u;
  for (int q = 0; q < 2; q++)
    if (edge.pooling[q].on) norms[count++] = kMaxNorm + q;
  return count;
}

inline void gradientSums(Cell& cell, const Outgoing& out) {
  const Size size = cell.sizeOf(out.state), node = cell.nodeSize;
  overImages(cell, [&](int n, int chunk, Scratch& s, bool first) {
    if (first && cell.wantsWeights) std::memset(cell.weightGradients + chunk * cell.chunkFloats, 0,
        cell.chunkFloats * sizeof(float));
    zeroPartials(cell, n);
    bypassSums(cell, out.state, out.list, out.count, n);
    const float* x = image(cell, cell.states[out.state], size, n);
    for (int b = 0; b < cell.blocks; b++) {
      for (int y = 0; y < node.height; y++) {
        if (out.pools) poolRow(x + b * size.block(), size, out.stride, y, node.width, s.columns, s.pooledMax,
            s.pooledMean);
        const size_t at = b * node.block() + static_cast<size_t>(y) * node.width * L;
        for (int i = 0; i < out.count; i++) {
          const Edge& edge = cell.edges[out.list[i]];
          int norms[Terms::kMost];
          const int count = edgeTerms(edge, norms);
          Terms terms;
          for (int t = 0; t < count; t++) {
            const int norm = norms[t];
            if (norm == kMaxNorm) terms.add(s.pooledMax, load(edge.pooling[0].mean + b * L));
            else if (norm == kAvgNorm) terms.add(s.pooledMean, load(edge.pooling[1].mean + b * L));
            else terms.add(image(cell, edge.convolution[norm].y, node, n) + at,
                load(edge.convolution[norm].mean + b * L));
          }
          if (edge.skips()) terms.add(x + at, zero());
          const float* d = image(cell, cell.gradients[edge.plan->target], node, n) + at;
          float* dots = cell.partial(n, kSlotsOfEdge * i) + b * L;
          withCount(terms.count, [&](auto terms_) DARTS_LAMBDA { dotRow<decltype(terms_)::value>(terms, d, node.width,
              dots, cell.channels); });
        }
      }
    }
  });
}

// From the sums of phase D: the gradients of the mixture, and how the normalisations' gradients depend on D.
inline void gradientsOfNorms(Cell& cell, const Outgoing& out, const float* mixture, float* mixtureGradient) {
  double *sumD = cell.sums, *centered = cell.sums + cell.channels;
  for (int q = 0; q < 2; q++) {
    std::memset(cell.poolB[q], 0, cell.channels * sizeof(float));
    std::memset(cell.poolK[q], 0, cell.channels * sizeof(float));
  }
  for (int i = 0; i < out.count; i++) {
    Edge& edge = cell.edges[out.list[i]];
    float* gradient = mixtureGradient + static_cast<size_t>(out.list[i]) * cell.plan->columns;
    int norms[Terms::kMost];
    const int count = edgeTerms(edge, norms);
    total(cell, kSlotsOfEdge * i, sumD);
    for (int t = 0; t < count; t++) {
      const int norm = norms[t], operation = kOperationOf[norm];
      const double w = mixtureWeight(cell, edge, operation, mixture);
      total(cell, kSlotsOfEdge * i + 1 + t, centered);
      double sum = 0;
      for (int c = 0; c < static_cast<int>(cell.channels); c++) {
        // Images side by side have the same sums: they count once.
        const double share = c < cell.plan->channels ? 1 : 0;
        if (norm >= kMaxNorm) {
          const Pooling& p = edge.pooling[norm - kMaxNorm];
          const Affine affine = normBackward(cell, sumD[c], centered[c], w, p.mean[c], p.rstd[c]);
          p.a[c] = static_cast<float>(affine.a);
          cell.poolB[norm - kMaxNorm][c] += static_cast<float>(affine.b);
          cell.poolK[norm - kMaxNorm][c] += static_cast<float>(affine.k);
          sum += share * affine.weightGradient;
        } else {
          const Convolution& v = edge.convolution[norm];
          const Affine affine = normBackward(cell, sumD[c], centered[c], w, v.mean[c], v.rstd[c]);
          v.a[c] = static_cast<float>(affine.a);
          v.b[c] = static_cast<float>(affine.b);
          v.k[c] = static_cast<float>(affine.k);
          sum += share * affine.weightGradient;
        }
      }
      gradient[edge.plan->column[operation]] = static_cast<float>(sum);
    }
    if (edge.skips()) {
      total(cell, kSlotsOfEdge * i + 1 + count, centered);
      double sum = 0;
      for (int c = 0; c < cell.plan->channels; c++) sum += centered[c];
      gradient[edge.plan->column[kSkip]] = static_cast<float>(sum);
    }
  }
}

// Of the weights of the edges' bypasses, from the same phase.
inline void gradientsOfBypass(const Cell& cell, const Outgoing& out, float* gradient) {
  for (int i = 0; i < out.count; i++) {
    total(cell, bypassSlot(i), cell.sums);
    double sum = 0;
    for (int c = 0; c < least(L, cell.plan->channels); c++) sum += cell.sums[c];
    gradient[out.list[i]] = static_cast<float>(sum);
  }
}

// Lets the gradient dz through where z is positive; its sums are those of the normalisation before the ReLU.
inline void maskFirst(const Cell& cell, const float* z, float* dz, float* sums) {
  const Size node = cell.nodeSize;
  for (int b = 0; b < cell.blocks; b++) {
    V sum = zero(), product = zero();
    for (int y = 0; y < node.height; y++) {
      const float* value = z + b * node.framedBlock() + node.framed(y, 0);
      float* d = dz + b * node.block() + static_cast<size_t>(y) * node.width * L;
      for (int i = 0; i < node.width; i++) {
        const V v = load(value + i * L), masked = keepWhere(v > zero(), load(d + i * L));
        store(d + i * L, masked);
        sum += masked;
        product = fma(masked, v, product);
      }
    }
    store(sums + b * L, sum);
    store(sums + cell.channels + b * L, product);
  }
}

inline void backwardSecond(Cell& cell, const Outgoing& out) {
  const Size node = cell.nodeSize;
  overImages(cell, [&](int n, int chunk, Scratch& s, bool) {
    float* g = cell.weightGradients + chunk * cell.chunkFloats;
    for (int i = 0; i < out.count; i++) {
      const Edge& edge = cell.edges[out.list[i]];
      for (int q = 0; q < 2; q++) {
        const Convolution &first = edge.convolution[q], &c = edge.convolution[kSep3Second + q];
        if (!c.on) continue;
        frameNormRelu(image(cell, first.y, node, n), first.mean, first.rstd, cell.blocks, node, s.z);
        const float* d = image(cell, cell.gradients[edge.plan->target], node, n);
        float* dz = image(cell, edge.firstGradients[q], node, n);
        withShape(kSep3Second + q, 1, [&](auto shape) {
          unitBackward(cell, c, s.z, node, d, image(cell, c.y, node, n), g, dz, false, s, shape);
        });
        maskFirst(cell, s.z, dz, cell.partial(n, kSlotsOfEdge * i + 2 * q));
      }
    }
  });
  double *sumD = cell.sums, *sumDz = cell.sums + cell.channels;
  for (int i = 0; i < out.count; i++) {
    const Edge& edge = cell.edges[out.list[i]];
    for (int q = 0; q < 2; q++) {
      const Convolution& c = edge.convolution[q];
      if (!c.on) continue;
      total(cell, kSlotsOfEdge * i + 2 * q, sumD);
      total(cell, kSlotsOfEdge * i + 2 * q + 1, sumDz);
      for (size_t k = 0; k < cell.channels; k++) {
        // z is the normalised value itself where it counts.
        const Affine affine = normBackward(cell, sumD[k], sumDz[k] / c.rstd[k], 1, c.mean[k], c.rstd[k]);
        c.a[k] = static_cast<float>(affine.a);
        c.b[k] = static_cast<float>(affine.b);
        c.k[k] = static_cast<float>(affine.k);
      }
    }
  }
}

// Everything below the state's ReLU, for one image.
inline void backwardFirst(Cell& cell, const Outgoing& out, int n, int chunk, Scratch& s) {
  const Size size = cell.sizeOf(out.state), node = cell.nodeSize;
  float* g = cell.weightGradients + chunk * cell.chunkFloats;
  frameRelu(image(cell, cell.states[out.state], size, n), cell.blocks, size, s.x);
  bool add = false;
  for (int i = 0; i < out.count; i++) {
    const Edge& edge = cell.edges[out.list[i]];
    const float* nodeGradient = image(cell, cell.gradients[edge.plan->target], node, n);
    for (int u = kSep3First; u <= kDil5Unit; u++) {
      const Convolution& c = edge.convolution[u];
      if (!c.on) continue;
      const float* d = u <= kSep5First ? image(cell, edge.firstGradients[u], node, n) : nodeGradient;
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
  if (!add) return;
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
  const Mask present = firstLanes(s.lanes);
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
          for (int i = 0; i < node.width; i++) store(to + i * L, keepWhere(present, fma(load(pooled + i * L), pb, pk)));
        }
      }
      for (int i = 0; i < out.count; i++) {
        const Edge& edge = cell.edges[out.list[i]];
        const float* d = image(cell, cell.gradients[edge.plan->target], node, n) + at;
        const auto addScaled = [&](float* to, V weight) DARTS_LAMBDA {
          for (int p = 0; p < node.width; p++) store(to + p * L, fma(load(d + p * L), weight, load(to + p * L)));
        };
        for (int q = 0; q < 2; q++)
          if (edge.pooling[q].on) addScaled((q == 0 ? s.dMax : s.dMean) + inBlock, load(edge.pooling[q].a + b * L));
        if (edge.skips()) addScaled(gradient + at, all(*edge.skipWeight));
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
  placeArena(cell, arena);
  const float* mixture = placeMixture(cell, arena);
  placeScratch(cell, scratch, true);
  cell.wantsWeights = call.wantsWeights;
  for (int e = 0; e < plan.edges; e++) {
    Edge& edge = cell.edges[e];
    if (edge.skips()) edge.skipWeight = mixture + static_cast<size_t>(e) * plan.columns + edge.plan->column[kSkip];
  }
  planShuffle(cell, true);
  zeroFrames(cell, true);
  overImages(cell, [&](int n, int, Scratch& s, bool) {
    for (int i = 0; i < 2; i++) {
      std::memset(image(cell, cell.gradients[i], cell.inSize, n), 0, cell.imageFloats(cell.inSize) * sizeof(float));
      if (plan.groups > 1)
        std::memset(others(cell, cell.otherGradients[i], cell.inSize, n), 0, cell.otherFloats(cell.inSize) * sizeof(float));
    }
    for (int i = 0; i < plan.nodes; i++)
      splitChannels(cell, call.outputGradient, n, i * plan.cellChannels, cell.nodeSize,
          image(cell, cell.gradients[2 + i], cell.nodeSize, n), others(cell, cell.otherGradients[2 + i], cell.nodeSize, n));
    takeApart(cell, plan.states - 1, n, s);
  });
  for (int state = plan.states - 2; state >= 0; state--) {
    const Outgoing out = outgoing(cell, state);
    // The frame of the larger inputs lies elsewhere.
    if (state == 1 && plan.reduction) zeroFrames(cell, true);
    gradientSums(cell, out);
    gradientsOfNorms(cell, out, mixture, call.mixtureGradient);
    if (plan.groups > 1) gradientsOfBypass(cell, out, call.bypassGradient);
    if (state < 2 && !call.wantsInputs && !call.wantsWeights) continue;
    if (anySecond(cell, out)) backwardSecond(cell, out);
    overImages(cell, [&](int n, int chunk, Scratch& s, bool) {
      backwardFirst(cell, out, n, chunk, s);
      backwardPools(cell, out, n, s);
      backwardBypass(cell, out.state, out.list, out.count, n, s);
      takeApart(cell, out.state, n, s);
    });
    if (!call.wantsWeights) continue;
    overItems(cell, out.count * (kReduceNorm + 1), [&](int item) {
      const Edge& edge = cell.edges[out.list[item / (kReduceNorm + 1)]];
      const int norm = item % (kReduceNorm + 1);
      if (edge.convolution[norm].on) unpackGradients(cell, edge, norm, call.weightGradients);
    });
  }
  if (call.wantsInputs) overImages(cell, [&](int n, int, Scratch&, bool) {
    for (int s = 0; s < 2; s++)
      joinChannels(cell, image(cell, cell.gradients[s], cell.inSize, n), others(cell, cell.otherGradients[s], cell.inSize, n),
          call.inputGradients[s], n, 0, cell.inSize);
  });
  delete &cell;
}

DARTS_END
