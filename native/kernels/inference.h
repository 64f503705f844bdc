// A cell in evaluation when no backward follows. Running statistics need no other image, so each image goes through the
// whole cell at once: nothing but its states is stored, and these stay in the core's caches. Where there are fewer images
// than threads, a team of threads shares each image, row by row, and meets where a convolution reads rows of other shares.
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

// What is done of an image, step by step.
enum class Task { kBegin, kFrame, kFirst, kLast, kPlain };

struct Step {
  Task task;
  bool meets;            // whether all shares of what comes before must be done
  int state;             // that it begins, frames, or reads
  const Edge* edge;      // of a convolution, as the next
  int norm, half;        // half: where that of a separable one lies
};

struct Schedule {
  // Of each edge its convolutions; of each state what it begins with, its frame, and its poolings and skip connections.
  Step steps[kMaxEdges * (kUnits + 1) + 3 * kMaxStates];
  int count = 0;
  bool meeting = false;
  void meet() { meeting = true; }
  void add(Task task, int state, const Edge* edge = nullptr, int norm = 0, int half = 0) {
    steps[count++] = {task, meeting, state, edge, norm, half};
    meeting = false;
  }
};

struct Separable { const Edge* edge; int first, half; };

inline int separablesFrom(const Cell& cell, int state, Separable* list) {
  int edges[kMaxEdges], count = 0;
  const int from = edgesFrom(*cell.plan, state, edges);
  for (int i = 0; i < from; i++)
    for (int q = 0; q < kSeparables; q++)
      if (cell.edges[edges[i]].convolution[q].on) list[count++] = {&cell.edges[edges[i]], q, 0};
  return count;
}

// First halves of separable convolutions that are made before threads meet.
inline int halvesTogether(const Cell& cell) {
  Separable list[kSeparables * kMaxEdges];
  int widest = 1;
  for (int state = 0; state < cell.plan->states && cell.team > 1; state++) widest = most(widest, separablesFrom(cell, state, list));
  return least(widest, kMostTogether);
}

// The convolutions that read a state and end their edges, then its poolings and skip connections.
inline void addOthers(const Cell& cell, int state, Schedule& schedule) {
  constexpr Norm kOthers[] = {kDil3Unit, kDil5Unit, kReduceNorm};
  const Outgoing out = outgoing(cell, state);
  bool plain = out.pools;
  for (int i = 0; i < out.count; i++) {
    const Edge& edge = cell.edges[out.list[i]];
    plain = plain || edge.skips();
    for (const Norm norm : kOthers)
      if (edge.convolution[norm].on) schedule.add(Task::kLast, state, &edge, norm);
  }
  if (plain) schedule.add(Task::kPlain, state);
}

// State by state: first halves of separable convolutions some at a time, then the second ones while the next first ones are
// made, then all else that reads the state. Both inputs are there from the beginning, so the first one's end and the
// second one's beginning go together. In a node's sum edges come in this order for any number of threads.
inline void makeSchedule(const Cell& cell, const OneImage& image, Schedule& schedule) {
  const int states = cell.plan->states, together = image.together;
  for (int state = 0; state < states; state++) {
    schedule.add(Task::kBegin, state);
    if (state < 2 && image.framed[state]) schedule.add(Task::kFrame, state);
  }
  Separable separables[kSeparables * kMaxEdges];
  int found = 0, made = 0, ended = 0;  // separable convolutions; with a first half; with a second one
  int done = 0;                        // states that nothing is left to read
  const auto finish = [&](int end) {
    schedule.meet();
    for (; ended < made; ended++) {
      const Separable& it = separables[ended];
      schedule.add(Task::kLast, it.edge->plan->source, it.edge, kSep3Second + it.first, it.half);
    }
    for (; done < end; done++) addOthers(cell, done, schedule);
  };
  for (int state = 0; state < states - 1; state++) {
    const int first = found;
    found += separablesFrom(cell, state, separables + found);
    for (; made < found; made++) {
      if ((made - first) % together == 0) finish(state);
      Separable& it = separables[made];
      it.half = made % (2 * together);
      schedule.add(Task::kFirst, state, it.edge, it.first, it.half);
    }
    if (state == 0) continue;
    // The next state's frame may take the place of the first input's.
    if (done < state) finish(state);
    finish(state + 1);
    if (image.framed[state + 1]) schedule.add(Task::kFrame, state + 1);
  }
}

// States that are neither inputs nor put out lie here.
inline void placeImage(Cell& cell, Supply& supply, OneImage& image) {
  const Plan& plan = *cell.plan;
  image.together = halvesTogether(cell);
  for (int i = 0; i < 2 * image.together; i++) image.halves[i] = supply.take(cell.blocks * cell.nodeSize.framedBlock());
  for (int i = 0; i < 2; i++) {
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
    pointwise(s.t, tile, rows, out.width, c.pointwise, cell.blocks, cell.blocks, cell.fold,
        [&](int block, int y, int x, auto count, const V* values) DARTS_LAMBDA {
      constexpr int P = decltype(count)::value;
      const V scale = load(c.scale + block * L), shift = load(c.shift + block * L);
      float* to = half + block * out.framedBlock() + out.framed(y0 + y, x);
      DARTS_UNROLL for (int j = 0; j < P; j++) store(to + j * L, relu(fma(values[j], scale, shift)));
    }, [&] { s.coming.step(); });
  });
}

// Whether a convolution reads a state itself, and not the first half of a separable one.
DARTS_INLINE bool readsState(int norm) { return norm < kSep3Second || norm == kReduceNorm; }

// A convolution that an edge ends with, normalised and weighted, added to the node.
__attribute__((noinline)) void inferLast(const Cell& cell, const Edge& edge, int norm, const float* framed, int n,
    const OneImage& image, Rows span, Scratch& s) {
  const Size in = readsState(norm) ? cell.sizeOf(edge.plan->source) : cell.nodeSize;
  const Size out = cell.nodeSize;
  const Convolution& c = edge.convolution[norm];
  const V weight = cell.pathScale(edge, n) * all(cell.mixtureWeight(edge, kOperationOf[norm]));
  float* node = image.states[edge.plan->target];
  overTiles(cell, c, norm, edge.plan->stride, framed, in, span, s, [&](int y0, int rows, size_t tile) DARTS_LAMBDA {
    pointwise(s.t, tile, 1, rows * out.width, c.pointwise, cell.blocks, inputBlocks(cell, norm), cell.fold,
        [&](int block, int, int p, auto count, const V* values) DARTS_LAMBDA {
      constexpr int P = decltype(count)::value;
      const V scale = load(c.scale + block * L) * weight, shift = load(c.shift + block * L) * weight;
      float* to = node + block * out.block() + (static_cast<size_t>(y0) * out.width + p) * L;
      DARTS_UNROLL for (int j = 0; j < P; j++) store(to + j * L, load(to + j * L) + fma(values[j], scale, shift));
    }, [&] { s.coming.step(); });
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

// Its packed weights; none of a step without any.
inline Weights weightsOf(const Cell& cell, const Step& step) {
  if (step.task == Task::kBegin && step.state < 2 && cell.inputs[step.state].on()) {
    const Input& input = cell.inputs[step.state];
    return {input.weights, input.weights + input.weightFloats()};
  }
  if (step.task != Task::kFirst && step.task != Task::kLast) return {};
  const float* weights = step.edge->convolution[step.norm].pointwise;
  return {weights, weights + pointwiseFloats(cell, step.norm)};
}

// One step of a thread's share. While it multiplies, the next step's weights come.
inline void inferStep(const Cell& cell, const ForwardCall& call, const Schedule& schedule, int at, int n, const OneImage& image,
    const Share& share, Scratch& s) {
  const Step& step = schedule.steps[at];
  const Weights weights = weightsOf(cell, step);
  if (weights.begin) {
    Weights next;
    for (int i = at + 1; !next.begin && i < schedule.count; i++) next = weightsOf(cell, schedule.steps[i]);
    constexpr int kMostBlocks = 3;
    const size_t blocks = step.task == Task::kBegin ? cell.whole.blocks() : cell.blocks;
    s.coming.begin(weights, static_cast<size_t>(weights.end - weights.begin) / blocks * kMostBlocks, next);
  }
  switch (step.task) {
    case Task::kBegin: return beginState(cell, call, step.state, n, image, rowsOf(share, step.state), s);
    case Task::kFrame: {
      const Rows rows = rowsOf(share, step.state);
      return frameReluRows(image.states[step.state], cell.blocks, cell.sizeOf(step.state), rows.begin, rows.end, image.framed[step.state]);
    }
    case Task::kFirst: return inferFirst(cell, *step.edge, step.norm, image.framed[step.state], share.nodes, image.halves[step.half], s);
    case Task::kLast: {
      const float* framed = readsState(step.norm) ? image.framed[step.state] : image.halves[step.half];
      return inferLast(cell, *step.edge, step.norm, framed, n, image, share.nodes, s);
    }
    case Task::kPlain: return inferPlain(cell, outgoing(cell, step.state), n, image, share.nodes, s);
  }
}

// One image through the cell. each(body) runs body(share, scratch) for all shares of it and waits for them.
template <class Each>
inline void inferImage(const Cell& cell, const ForwardCall& call, const Schedule& schedule, int n, const OneImage& image, Each each) {
  for (int begin = 0, end; begin < schedule.count; begin = end) {
    for (end = begin + 1; end < schedule.count && !schedule.steps[end].meets;) end++;
    each([&](const Share& share, Scratch& s) {
      for (int i = begin; i < end; i++) inferStep(cell, call, schedule, i, n, image, share, s);
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
  for (int i = 0; i < 2 * image.together; i++) clearBorder(image.halves[i], cell.blocks, cell.nodeSize, share.nodes);
  for (int i = 0; i < 2; i++) {
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
  const OneImage& place = cell.scratch[0].image;
  Schedule schedule;
  makeSchedule(cell, place, schedule);
  if (cell.team > 1) {
    const auto each = [&](auto body) { overTeam(cell, body); };
    each([&](const Share& share, Scratch&) { clearBorders(cell, place, share); });
    for (int n = 0; n < cell.images; n++) inferImage(cell, call, schedule, n, imageAt(cell, place, n), each);
    return;
  }
  const Share whole = shareOf(cell, 0, 1);
  overItems(cell, cell.threads, [&](int t) { clearBorders(cell, cell.scratch[t].image, whole); });
  overImages(cell, [&](int n, Scratch& s) {
    inferImage(cell, call, schedule, n, imageAt(cell, s.image, n), [&](auto body) { body(whole, s); });
  });
}

DARTS_END
