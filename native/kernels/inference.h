// A cell in evaluation when no backward follows. Running statistics need no other image, so each image goes through the
// whole cell at once: nothing but its states is stored, and these stay in the core's caches.
#pragma once

#include "cell_forward.h"

DARTS_BEGIN

// States that are neither inputs nor put out lie in the thread's own memory.
inline void placeInference(Cell& cell, Supply& supply) {
  const Plan& plan = *cell.plan;
  placeParameters(cell, supply);
  for (int t = 0; t < cell.threads; t++) {
    Scratch& s = cell.scratch[t];
    placeThread(cell, supply, s, false);
    s.nodeX = plan.reduction ? supply.take(cell.blocks * cell.nodeSize.framedBlock()) : s.x;
    for (int state = 0; state < plan.states; state++)
      if (state < 2 ? cell.inputs[state].on() : !isOutput(plan, state))
        s.states[state] = supply.take(cell.imageFloats(cell.sizeOf(state)));
  }
  placeSums(cell, supply);
}

template <int K, int D, int S>
__attribute__((noinline)) void depthwiseTileRows(const Cell& cell, const Convolution& c, const float* framed, Size in, int y0,
    int rows, size_t tile, Scratch& s, Shape<K, D, S>) {
  depthwiseRows<K, D, S>(cell, c, framed, in, y0, rows, s.t, tile, s.ahead);
}

// Calls body(first row, rows, floats of a tile) for tile after tile of an image, each with s.t filled by the depthwise part
// of a unit, or by the pixels that a factorized reduction takes.
template <class Body>
DARTS_INLINE void overTiles(const Cell& cell, const Convolution& c, int norm, int stride, const float* framed, Size in,
    Scratch& s, Body body) {
  const Size out = cell.nodeSize;
  const int rows = cell.tileRows();
  const size_t tile = static_cast<size_t>(rows) * out.width * L;
  for (int y0 = 0; y0 < out.height; y0 += rows) {
    const int here = least(rows, out.height - y0);
    if (norm == kReduceNorm) gatherReduced(cell, framed, y0, here, s.t, tile);
    else withShape(norm, norm < kSep3Second ? stride : 1, [&](auto shape) { depthwiseTileRows(cell, c, framed, in, y0, here, tile, s, shape); });
    body(y0, here, tile);
  }
}

// The first half of a separable convolution, normalised and rectified, into the frame that the second half reads.
inline void inferFirst(const Cell& cell, const Edge& edge, int norm, const float* framed, Size in, Scratch& s) {
  const Size out = cell.nodeSize;
  const Convolution& c = edge.convolution[norm];
  overTiles(cell, c, norm, edge.plan->stride, framed, in, s, [&](int y0, int rows, size_t tile) DARTS_LAMBDA {
    for (int r = 0; r < rows; r++) {
      float* row = s.z + out.framed(y0 + r, 0);
      pointwise(s.t + static_cast<size_t>(r) * out.width * L, tile, out.width, c.pointwise, cell.blocks, cell.blocks, cell.fold,
          [&](int block, int p, auto count, const V* values) DARTS_LAMBDA {
        constexpr int P = decltype(count)::value;
        const V scale = load(c.scale + block * L), shift = load(c.shift + block * L);
        float* to = row + block * out.framedBlock() + static_cast<size_t>(p) * L;
        DARTS_UNROLL for (int j = 0; j < P; j++) store(to + j * L, relu(fma(values[j], scale, shift)));
      });
    }
  });
}

// A convolution that an edge ends with, normalised and weighted, added to the node.
inline void inferLast(const Cell& cell, const Edge& edge, int norm, const float* framed, Size in, V path, Scratch& s) {
  const Size out = cell.nodeSize;
  const Convolution& c = edge.convolution[norm];
  const V weight = path * all(cell.mixtureWeight(edge, kOperationOf[norm]));
  float* node = s.states[edge.plan->target];
  overTiles(cell, c, norm, edge.plan->stride, framed, in, s, [&](int y0, int rows, size_t tile) DARTS_LAMBDA {
    pointwise(s.t, tile, rows * out.width, c.pointwise, cell.blocks, inputBlocks(cell, norm), cell.fold,
        [&](int block, int p, auto count, const V* values) DARTS_LAMBDA {
      constexpr int P = decltype(count)::value;
      const V scale = load(c.scale + block * L) * weight, shift = load(c.shift + block * L) * weight;
      float* to = node + block * out.block() + (static_cast<size_t>(y0) * out.width + p) * L;
      DARTS_UNROLL for (int j = 0; j < P; j++) store(to + j * L, load(to + j * L) + fma(values[j], scale, shift));
    });
  });
}

// Poolings and skip connections of a state, added to the nodes.
inline void inferPlain(const Cell& cell, const Outgoing& out, int n, Scratch& s) {
  const Size size = cell.sizeOf(out.state), node = cell.nodeSize;
  for (int b = 0; b < cell.blocks; b++)
    for (int y = 0; y < node.height; y++) {
      const float* x = s.states[out.state] + b * size.block();
      const size_t at = b * node.block() + static_cast<size_t>(y) * node.width * L;
      if (out.pools) poolRow(x, size, out.stride, y, node.width, s.pooledMax, s.pooledMean);
      for (int i = 0; i < out.count; i++) {
        const Edge& edge = cell.edges[out.list[i]];
        float* to = s.states[edge.plan->target] + at;
        const auto add = [&](const float* row, V scale, V shift) DARTS_LAMBDA {
          for (int p = 0; p < node.width; p++) store(to + p * L, load(to + p * L) + fma(load(row + p * L), scale, shift));
        };
        for (int q = 0; q < 2; q++) {
          const Pooling& pool = edge.pooling[q];
          const V weight = cell.pathScale(edge, n) * all(cell.mixtureWeight(edge, kOperationOf[kMaxNorm + q]));
          if (pool.on) add(q == 0 ? s.pooledMax : s.pooledMean, load(pool.scale + b * L) * weight, load(pool.shift + b * L) * weight);
        }
        if (edge.skips()) add(s.states[out.state] + at, all(cell.mixtureWeight(edge, kSkip)), zero());
      }
    }
}

inline void inferState(const Cell& cell, const Outgoing& out, int n, Scratch& s) {
  const Size size = cell.sizeOf(out.state);
  float* framed = out.state < 2 ? s.x : s.nodeX;
  if (out.convolutions) frameRelu(s.states[out.state], cell.blocks, size, framed);
  for (int i = 0; i < out.count; i++) {
    const Edge& edge = cell.edges[out.list[i]];
    const V path = cell.pathScale(edge, n);
    for (int q = 0; q < kSeparables; q++) {
      if (!edge.convolution[q].on) continue;
      inferFirst(cell, edge, q, framed, size, s);
      inferLast(cell, edge, kSep3Second + q, s.z, cell.nodeSize, path, s);
    }
    constexpr Norm kOthers[] = {kDil3Unit, kDil5Unit, kReduceNorm};
    for (const Norm norm : kOthers)
      if (edge.convolution[norm].on) inferLast(cell, edge, norm, framed, size, path, s);
  }
  inferPlain(cell, out, n, s);
}

inline void finishNorms(Cell& cell) {
  for (const Input& input : cell.inputs)
    if (input.on()) finishNorm(cell, input.plan->norm, cell.inputPartials, 0, input.norm);
  for (int e = 0; e < cell.plan->edges; e++) {
    const Edge& edge = cell.edges[e];
    for (int norm = 0; norm <= kReduceNorm; norm++)
      if (edge.convolution[norm].on) finishNorm(cell, edge.plan->norm[norm], cell.partials, 0, edge.convolution[norm]);
    for (int q = 0; q < 2; q++)
      if (edge.pooling[q].on) finishNorm(cell, edge.plan->norm[kMaxNorm + q], cell.partials, 0, edge.pooling[q]);
  }
}

// What the states of one image begin with.
inline void beginStates(const Cell& cell, const ForwardCall& call, int n, Scratch& s) {
  for (int state = 0; state < cell.plan->states; state++) {
    const size_t floats = cell.imageFloats(cell.sizeOf(state));
    if (cell.wholeStates[state]) s.states[state] = cell.wholeStates[state] + n * floats;
    if (state < 2) {
      if (cell.inputs[state].on()) inferInput(cell, cell.inputs[state], call.inputs[state], n, s.states[state], s);
    } else if (cell.plan->given[state]) {
      std::memcpy(s.states[state], call.given[state] + n * floats, floats * sizeof(float));
    } else {
      std::memset(s.states[state], 0, floats * sizeof(float));
    }
  }
}

inline void inferCell(Cell& cell, const ForwardCall& call) {
  Supply scratch{call.scratch};
  placeInference(cell, scratch);
  attachStates(cell, call.inputs, call.output);
  prepare(cell, call);
  finishNorms(cell);
  zeroFrames(cell, false);
  for (int t = 0; t < cell.threads; t++)
    std::memset(cell.scratch[t].nodeX, 0, cell.blocks * cell.nodeSize.framedBlock() * sizeof(float));
  overImages(cell, [&](int n, int, Scratch& s, bool) {
    beginStates(cell, call, n, s);
    for (int state = 0; state < call.plan->states - 1; state++) {
      const Outgoing out = outgoing(cell, state);
      if (out.count > 0) inferState(cell, out, n, s);
    }
  });
}

DARTS_END
