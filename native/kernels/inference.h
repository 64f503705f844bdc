// A cell in evaluation when no backward follows. Running statistics need no other image, so each image goes through the
// whole cell at once: nothing but its states is stored, and these stay in the core's caches. Where there are fewer images
// than threads, a team of threads shares each image, row by row.
#pragma once

#include "cell_forward.h"

DARTS_BEGIN

struct Rows { int begin, end; };

// What one of a team does of an image.
struct Share { Rows inputs, nodes; };

inline Share shareOf(const Cell& cell, int member, int team) {
  const auto rows = [=](int height) { return Rows{height * member / team, height * (member + 1) / team}; };
  return {rows(cell.inSize.height), rows(cell.nodeSize.height)};
}

DARTS_INLINE Rows rowsOf(const Share& share, int state) { return state < 2 ? share.inputs : share.nodes; }

// Whether any convolution reads a state.
inline bool feedsConvolutions(const Cell& cell, int state) {
  for (int e = 0; e < cell.plan->edges; e++)
    for (const Convolution& c : cell.edges[e].convolution)
      if (cell.edges[e].plan->source == state && c.on) return true;
  return false;
}

// States that are neither inputs nor put out lie here.
inline void placeImage(Cell& cell, Supply& supply, OneImage& image) {
  const Plan& plan = *cell.plan;
  for (int i = 0; i < 2; i++) {
    image.halves[i] = supply.take(cell.blocks * cell.nodeSize.framedBlock());
    image.inputs[i] = supply.take(cell.blocks * cell.inSize.framedBlock());
    image.nodes[i] = plan.reduction ? supply.take(cell.blocks * cell.nodeSize.framedBlock()) : image.inputs[i];
  }
  // Two that follow each other never share a place: one is framed while the other is read.
  for (int state = 0, turn = 0; state < plan.states; state++) {
    image.framed[state] = feedsConvolutions(cell, state) ? (state < 2 ? image.inputs : image.nodes)[turn++ % 2] : nullptr;
    if (state < 2 ? cell.inputs[state].on() : !isOutput(plan, state))
      image.states[state] = supply.take(cell.imageFloats(cell.sizeOf(state)));
  }
}

inline void placeInference(Cell& cell, Supply& supply) {
  for (int t = 0; t < most(cell.threads, cell.team); t++) {
    placeThread(cell, supply, cell.scratch[t], false);
    if (t < cell.threads) placeImage(cell, supply, cell.scratch[t].image);
  }
  cell.partials.fold = cell.fold;
  cell.inputPartials.fold = cell.whole;
  placeMixture(cell, supply);
}

template <int K, int D, int S>
__attribute__((noinline)) void depthwiseTileRows(const Cell& cell, const Convolution& c, const float* framed, Size in, int y0,
    int rows, size_t tile, Scratch& s, Shape<K, D, S>) {
  depthwiseRows<K, D, S>(cell, c, framed, in, y0, rows, s.t, tile, s.ahead);
}

// Calls body(first row, rows, floats of a tile) for tile after tile of some rows, each with s.t filled by the depthwise
// part of a unit, or by the pixels that a factorized reduction takes.
template <class Body>
DARTS_INLINE void overTiles(const Cell& cell, const Convolution& c, int norm, int stride, const float* framed, Size in,
    Rows span, Scratch& s, Body body) {
  const int rows = cell.tileRows();
  const size_t tile = static_cast<size_t>(rows) * cell.nodeSize.width * L;
  for (int y0 = span.begin; y0 < span.end; y0 += rows) {
    const int here = least(rows, span.end - y0);
    if (norm == kReduceNorm) gatherReduced(cell, framed, y0, here, s.t, tile);
    else withShape(norm, norm < kSep3Second ? stride : 1, [&](auto shape) { depthwiseTileRows(cell, c, framed, in, y0, here, tile, s, shape); });
    body(y0, here, tile);
  }
}

// The first half of a separable convolution, normalised and rectified, into the frame that the second half reads.
__attribute__((noinline)) void inferFirst(const Cell& cell, const Edge& edge, int norm, const float* framed, Rows span,
    float* half, Scratch& s) {
  const Size in = cell.sizeOf(edge.plan->source), out = cell.nodeSize;
  const Convolution& c = edge.convolution[norm];
  overTiles(cell, c, norm, edge.plan->stride, framed, in, span, s, [&](int y0, int rows, size_t tile) DARTS_LAMBDA {
    for (int r = 0; r < rows; r++) {
      float* row = half + out.framed(y0 + r, 0);
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
__attribute__((noinline)) void inferLast(const Cell& cell, const Edge& edge, int norm, const float* framed, int n,
    const OneImage& image, Rows span, Scratch& s) {
  const Size in = norm < kSep3Second || norm == kReduceNorm ? cell.sizeOf(edge.plan->source) : cell.nodeSize;
  const Size out = cell.nodeSize;
  const Convolution& c = edge.convolution[norm];
  const V weight = cell.pathScale(edge, n) * all(cell.mixtureWeight(edge, kOperationOf[norm]));
  float* node = image.states[edge.plan->target];
  overTiles(cell, c, norm, edge.plan->stride, framed, in, span, s, [&](int y0, int rows, size_t tile) DARTS_LAMBDA {
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
__attribute__((noinline)) void inferPlain(const Cell& cell, const Outgoing& out, int n, const OneImage& image, Rows rows,
    Scratch& s) {
  const Size size = cell.sizeOf(out.state), node = cell.nodeSize;
  for (int b = 0; b < cell.blocks; b++)
    for (int y = rows.begin; y < rows.end; y++) {
      const float* x = image.states[out.state] + b * size.block();
      const size_t at = b * node.block() + static_cast<size_t>(y) * node.width * L;
      if (out.pools) poolRow(x, size, out.stride, y, node.width, s.pooledMax, s.pooledMean);
      for (int i = 0; i < out.count; i++) {
        const Edge& edge = cell.edges[out.list[i]];
        float* to = image.states[edge.plan->target] + at;
        const auto add = [&](const float* row, V scale, V shift) DARTS_LAMBDA {
          for (int p = 0; p < node.width; p++) store(to + p * L, load(to + p * L) + fma(load(row + p * L), scale, shift));
        };
        const V path = cell.pathScale(edge, n);
        for (int q = 0; q < 2; q++) {
          const Pooling& pool = edge.pooling[q];
          const V weight = path * all(cell.mixtureWeight(edge, kOperationOf[kMaxNorm + q]));
          if (pool.on) add(q == 0 ? s.pooledMax : s.pooledMean, load(pool.scale + b * L) * weight, load(pool.shift + b * L) * weight);
        }
        if (edge.skips()) add(image.states[out.state] + at, path * all(cell.mixtureWeight(edge, kSkip)), zero());
      }
    }
}

// What the states of one image begin with.
inline void beginState(const Cell& cell, const ForwardCall& call, int state, int n, const OneImage& image, Rows rows, Scratch& s) {
  const Size size = cell.sizeOf(state);
  float* to = image.states[state];
  if (state < 2) {
    if (cell.inputs[state].on())
      inferInput(cell, cell.inputs[state], call.inputs[state], n, rows.begin * size.width, rows.end * size.width, to, s);
    return;
  }
  for (int b = 0; b < cell.blocks; b++) {
    const size_t first = b * size.block() + static_cast<size_t>(rows.begin) * size.width * L;
    const size_t bytes = sizeof(float) * static_cast<size_t>(rows.end - rows.begin) * size.width * L;
    if (cell.plan->given[state]) std::memcpy(to + first, call.given[state] + n * cell.imageFloats(size) + first, bytes);
    else std::memset(to + first, 0, bytes);
  }
}

// The convolutions that read a state and end their edges.
inline void inferOthers(const Cell& cell, const Outgoing& out, int n, const OneImage& image, Rows rows, Scratch& s) {
  constexpr Norm kOthers[] = {kDil3Unit, kDil5Unit, kReduceNorm};
  for (int i = 0; i < out.count; i++)
    for (const Norm norm : kOthers)
      if (cell.edges[out.list[i]].convolution[norm].on)
        inferLast(cell, cell.edges[out.list[i]], norm, image.framed[out.state], n, image, rows, s);
}

// One image through the cell. each(body) runs body(share, scratch) for all shares of it and waits for them: a convolution
// reads rows of other shares. So a phase has the second half of one separable convolution and the first of the next.
template <class Each>
inline void inferImage(const Cell& cell, const ForwardCall& call, int n, const OneImage& image, Each each) {
  const Plan& plan = *cell.plan;
  const auto frame = [&](int state, const Share& share) {
    const Rows rows = rowsOf(share, state);
    if (image.framed[state])
      frameReluRows(image.states[state], cell.blocks, cell.sizeOf(state), rows.begin, rows.end, image.framed[state]);
  };
  each([&](const Share& share, Scratch& s) {
    for (int state = 0; state < plan.states; state++) {
      beginState(cell, call, state, n, image, rowsOf(share, state), s);
      if (state < 2) frame(state, share);
    }
  });
  int turn = 0;
  for (int state = 0; state < plan.states - 1; state++) {
    const Outgoing out = outgoing(cell, state);
    const Edge* pending = nullptr;
    int unit = 0;
    const auto finish = [&](const Share& share, Scratch& s) {
      if (pending) inferLast(cell, *pending, kSep3Second + unit, image.halves[(turn + 1) % 2], n, image, share.nodes, s);
    };
    for (int i = 0; i < out.count; i++)
      for (int q = 0; q < kSeparables; q++) {
        const Edge& edge = cell.edges[out.list[i]];
        if (!edge.convolution[q].on) continue;
        each([&](const Share& share, Scratch& s) {
          finish(share, s);
          inferFirst(cell, edge, q, image.framed[state], share.nodes, image.halves[turn % 2], s);
        });
        pending = &edge;
        unit = q;
        turn++;
      }
    // With these edges the next state is complete, unless it is an input, which was framed before.
    const bool framesNext = state > 0 && image.framed[state + 1];
    if (out.count > 0 || framesNext) each([&](const Share& share, Scratch& s) {
      finish(share, s);
      inferOthers(cell, out, n, image, share.nodes, s);
      inferPlain(cell, out, n, image, share.nodes, s);
      if (framesNext) frame(state + 1, share);
    });
  }
}

inline void finishAllNorms(Cell& cell) {
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

// Zeros around framed rows.
inline void clearBorder(float* framed, int blocks, Size size, Rows rows) {
  const size_t side = static_cast<size_t>(kFrame) * L * sizeof(float), above = kFrame * size.framedRow() * sizeof(float);
  for (int b = 0; b < blocks; b++, framed += size.framedBlock()) {
    if (rows.begin == 0) std::memset(framed, 0, above);
    if (rows.end == size.height) std::memset(framed + size.framed(size.height, -kFrame), 0, above);
    for (int y = rows.begin; y < rows.end; y++) {
      std::memset(framed + size.framed(y, -kFrame), 0, side);
      std::memset(framed + size.framed(y, size.width), 0, side);
    }
  }
}

inline void clearBorders(const Cell& cell, const OneImage& image, const Share& share) {
  for (int i = 0; i < 2; i++) {
    clearBorder(image.halves[i], cell.blocks, cell.nodeSize, share.nodes);
    clearBorder(image.inputs[i], cell.blocks, cell.inSize, share.inputs);
    if (cell.plan->reduction) clearBorder(image.nodes[i], cell.blocks, cell.nodeSize, share.nodes);
  }
}

// The n-th image: of its states, some lie outside.
inline OneImage imageAt(const Cell& cell, const OneImage& place, int n) {
  OneImage image = place;
  for (int state = 0; state < cell.plan->states; state++)
    if (cell.wholeStates[state]) image.states[state] = cell.wholeStates[state] + n * cell.imageFloats(cell.sizeOf(state));
  return image;
}

// Runs body(share, scratch) for all shares of an image, each on a thread of its own.
template <class Body>
inline void overTeam(Cell& cell, Body body) {
  inParallel(cell.team, cell.team, [&](int member, int) { body(shareOf(cell, member, cell.team), cell.scratch[member]); });
}

inline void inferCell(Cell& cell, const ForwardCall& call) {
  Supply parameters{call.parameters}, scratch{call.scratch};
  placeWeights(cell, parameters, false);
  placeInference(cell, scratch);
  attachStates(cell, call.inputs, call.output);
  copyMixture(cell, call);
  if (!call.prepared) {
    packWeights(cell, call);
    finishAllNorms(cell);
  }
  if (cell.team > 1) {
    const OneImage& place = cell.scratch[0].image;
    const auto each = [&](auto body) { overTeam(cell, body); };
    each([&](const Share& share, Scratch&) { clearBorders(cell, place, share); });
    for (int n = 0; n < cell.images; n++) inferImage(cell, call, n, imageAt(cell, place, n), each);
    return;
  }
  const Share whole = shareOf(cell, 0, 1);
  overItems(cell, cell.threads, [&](int t) { clearBorders(cell, cell.scratch[t].image, whole); });
  overImages(cell, [&](int n, Scratch& s) {
    inferImage(cell, call, n, imageAt(cell, s.image, n), [&](auto body) { body(whole, s); });
  });
}

DARTS_END
