// Phase D of backward: the sums over a state's edges, and what follows from them for the normalisations that edges end
// with and for the mixture's and the bypasses' weights.
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
    if (edge.pooling[q].on && (edge.plan->norm[norm].statistics >= 0 || edge.plan->mixture[kOperationOf[norm]] >= 0)) norms[count++] = norm;
  }
  return count;
}

inline bool weighsSkip(const Edge& edge) { return edge.skips() && edge.plan->mixture[kSkip] >= 0; }

// A tile's part in the sums of the i-th edge: `pixels` of block `b` from `at` on.
inline void edgeDots(Cell& cell, const Outgoing& out, int i, int n, int b, size_t at, int pixels, const Scratch& s) {
  const Edge& edge = cell.edges[out.list[i]];
  const Size node = cell.nodeSize;
  int norms[kMostTerms];
  const int count = edgeTerms(edge, norms);
  Terms<> terms;
  Terms<Bfloat16> saved;
  for (int t = 0; t < count; t++) {
    const int norm = norms[t];
    if (norm == kMaxNorm) terms.add(s.pooledMax, load(edge.pooling[0].mean + b * L));
    else if (norm == kAvgNorm) terms.add(s.pooledMean, load(edge.pooling[1].mean + b * L));
    else {
      const Saved y = image(cell, edge.convolution[norm].y, node, n) + at;
      const V mean = load(edge.convolution[norm].mean + b * L);
      if (y.halves) saved.add(y.halves, mean);
      else terms.add(y.floats, mean);
    }
  }
  if (weighsSkip(edge)) terms.add(image(cell, cell.states[out.state], cell.sizeOf(out.state), n) + at,
      load(cell.normOf(out.state).mean + b * L));
  if (terms.count + saved.count == 0) return;
  const float* d = image(cell, cell.gradients[edge.plan->target], node, n) + at;
  float* dots = cell.partial(n, kSlotsOfEdge * i) + b * L;
  withCount(saved.count, [&](auto count) DARTS_LAMBDA {
    constexpr int N = decltype(count)::value;
    if constexpr (N > 0) dotRow<N>(saved, d, pixels, dots, cell.channels);
  });
  withCount(terms.count, [&](auto count) DARTS_LAMBDA {
    constexpr int N = decltype(count)::value;
    if (saved.count == 0) dotRow<N>(terms, d, pixels, dots, cell.channels);
    else if constexpr (N > 0) dotRow<N, false>(terms, d, pixels, dots + saved.count * cell.channels, cell.channels);
  });
}

inline void gradientSums(Cell& cell, const Outgoing& out) {
  const Size size = cell.sizeOf(out.state), node = cell.nodeSize;
  bool pools = false, any = false;
  for (int i = 0; i < out.count; i++) {
    int norms[kMostTerms];
    const Edge& edge = cell.edges[out.list[i]];
    const int count = edgeTerms(edge, norms);
    pools = pools || (count > 0 && norms[count - 1] >= kMaxNorm);
    any = any || count > 0 || weighsSkip(edge);
  }
  if (!any && cell.plan->groups == 1) return;  // so there are no convolutions either
  clearChunks(cell, cell.chunkFloats);
  overImages(cell, [&](int n, Scratch& s) {
    zeroPartials(cell, n);
    bypassSums(cell, out.state, out.list, out.count, n);
    const float* x = image(cell, cell.states[out.state], size, n);
    for (int b = 0; b < cell.blocks; b++)
      overNodeTiles(cell, [&](int y, int rows, int pixels, size_t before) {
        if (pools) poolRows(x + b * size.block(), size, out.stride, y, rows, node.width, s.pooledMax, s.pooledMean,
            scaledBy(cell.normOf(out.state), b));
        for (int i = 0; i < out.count; i++) edgeDots(cell, out, i, n, b, b * node.block() + before, pixels, s);
      });
  });
}

// Adds up Σ a·b over the cell's own channels.
inline double dotChannels(const Cell& cell, const float* a, const double* b) {
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
  if (index >= 0) call.mixtureGradient[index] += static_cast<float>(dotChannels(cell, values.scale, centered) + dotChannels(cell, values.beta, sumD));
  affineGradients(cell, edge.plan->norm[norm], values, sumD, centered, w, call.weightGradients);
  const double count = spread(cell, cell.partials);
  for (size_t c = 0; c < cell.channels; c++) {
    if (norm < kMaxNorm) {
      edge.convolution[norm].set(c, normBackward(values, c, sumD[c], centered[c], w, count));
    } else if (edge.plan->norm[norm].statistics >= 0) {
      const Affine affine = normBackward(values, c, sumD[c], centered[c], w, count);
      edge.pooling[norm - kMaxNorm].a[c] = static_cast<float>(affine.a);
      cell.poolB[norm - kMaxNorm][c] += static_cast<float>(affine.b);
      cell.poolK[norm - kMaxNorm][c] += static_cast<float>(affine.k - affine.b * values.mean[c]);
    }
  }
}

// Adds up the slots of phase D. What follows from them is little, and the same weights and poolings may meet in it.
inline void totalsOfEdges(const Cell& cell, const Outgoing& out) {
  Unsummed list[kMaxEdges * kSlotsOfEdge];
  int slots = 0;
  for (int i = 0; i < out.count; i++) {
    const Edge& edge = cell.edges[out.list[i]];
    int norms[kMostTerms];
    const int terms = edgeTerms(edge, norms), first = kSlotsOfEdge * i;
    for (int t = 0; t <= terms && terms > 0; t++) list[slots++] = {first + t, cell.pathsOf(edge)};
    if (!weighsSkip(edge)) continue;
    list[slots++] = {first + 1 + terms, cell.pathsOf(edge)};
    if (terms == 0) list[slots++] = {first, cell.pathsOf(edge)};
  }
  totals(cell, list, slots);
}

inline void gradientsOfNorms(Cell& cell, const Outgoing& out, const BackwardCall& call) {
  totalsOfEdges(cell, out);
  for (int q = 0; q < 2; q++) {
    std::memset(cell.poolB[q], 0, cell.channels * sizeof(float));
    std::memset(cell.poolK[q], 0, cell.channels * sizeof(float));
  }
  for (int i = 0; i < out.count; i++) {
    Edge& edge = cell.edges[out.list[i]];
    int norms[kMostTerms];
    const int count = edgeTerms(edge, norms), first = kSlotsOfEdge * i;
    for (int t = 0; t < count; t++)
      gradientOfNorm(cell, edge, norms[t], cell.partials.total(first), cell.partials.total(first + 1 + t), call);
    if (weighsSkip(edge)) {
      const BatchNorm& norm = cell.normOf(out.state);
      const double *sumD = cell.partials.total(first), *centered = cell.partials.total(first + 1 + count);
      call.mixtureGradient[edge.plan->mixture[kSkip]] += static_cast<float>(dotChannels(cell, norm.scale, centered) + dotChannels(cell, norm.beta, sumD));
    }
    for (int q = 0; q < 2; q++) {
      if (!edge.pooling[q].on || edge.plan->norm[kMaxNorm + q].statistics >= 0) continue;
      const float w = cell.mixtureWeight(edge, kOperationOf[kMaxNorm + q]);
      for (size_t c = 0; c < cell.channels; c++) edge.pooling[q].a[c] = w;
    }
  }
}

// Of the weights of the edges' bypasses, from the same phase.
inline void gradientsOfBypass(const Cell& cell, const Outgoing& out, float* gradient) {
  for (int i = 0; i < out.count; i++) {
    total(cell.partials, bypassSlot(i), nullptr);
    double sum = 0;
    for (int c = 0; c < least(L, cell.plan->channels); c++) sum += cell.partials.total(bypassSlot(i))[c];
    gradient[out.list[i]] = static_cast<float>(sum);
  }
}

DARTS_END
