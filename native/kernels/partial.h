// Partial channels (PC-DARTS): the operations see the first of K groups of a state's channels, the others bypass them,
// and a shuffle mixes all. A node is built in two parts: phase C sums what the operations give into the node's first
// group; the bypass, Σ weight·(other groups of the source), is linear and made once for all edges into the node; then
// channel g·(C/K) + i of the two comes to place K·i + g. Groups lie as the operations' images do, so a group of one
// state is summed with that of another register by register, and the shuffle permutes a pixel's registers.
#pragma once

#include "placement.h"
#include "terms.h"

DARTS_BEGIN

// The shuffle of a node's channels, or the way back for its gradient.
inline void planShuffle(Cell& cell, bool backward) {
  const int channels = cell.plan->channels, groups = cell.plan->groups, group = cell.fold.group, blocks = cell.blocks;
  if (groups == 1) return;
  planPermutation(cell.shuffle, groups * blocks, [=](int to, int lane) -> Place {
    const int own = to % blocks * L + lane % group, channel = to / blocks * channels + own;
    if (own >= channels) return {-1, 0};
    const int from = backward ? channel % channels * groups + channel / channels : channel % groups * channels + channel / groups;
    return {from / channels * blocks + from % channels / L, from % channels % L + lane / group * group};
  });
}

// Row y of every register of a node: in s.rows as it is, and where it lies.
struct NodeRow {
  int blocks;
  size_t block, at;
  float *seen, *others;
  float* of(int reg) const { return (reg < blocks ? seen + reg * block : others + (reg - blocks) * block) + at; }
};

inline NodeRow nodeRow(const Cell& cell, float* seen, float* others, int n, int y) {
  const Size node = cell.nodeSize;
  return {cell.blocks, node.block(), static_cast<size_t>(y) * node.width * L, seen + n * cell.imageFloats(node),
      others + n * cell.otherFloats(node)};
}

// Permutes the rows in s.rows into the node's.
inline void shuffleRow(const Cell& cell, const Scratch& s, const NodeRow& row) {
  const int width = cell.nodeSize.width;
  permutePixels(cell.shuffle, width, [&](int reg) { return s.rows + static_cast<size_t>(reg) * width * L; },
      [&](int reg) { return row.of(reg); });
}

// Maximum over 2×2 pixels, at the far border of odd sizes over fewer.
struct Window {
  const float* corner[4];
};

DARTS_INLINE Window windowAt(const float* x, Size in, int y, int i) {
  const size_t right = 2 * i + 1 < in.width ? L : 0, down = 2 * y + 1 < in.height ? static_cast<size_t>(in.width) * L : 0;
  const float* first = x + (static_cast<size_t>(2 * y) * in.width + 2 * i) * L;
  return {{first, first + right, first + down, first + down + right}};
}

inline void halve(const float* x, Size in, Size out, float* to) {
  for (int y = 0; y < out.height; y++)
    for (int i = 0; i < out.width; i++, to += L) {
      const Window w = windowAt(x, in, y, i);
      store(to, max(max(load(w.corner[0]), load(w.corner[1])), max(load(w.corner[2]), load(w.corner[3]))));
    }
}

// Adds the gradient d of the maxima to that of the first pixel of each window that is the maximum.
inline void halveBackward(const float* x, Size in, Size out, const float* d, float* dx) {
  for (int y = 0; y < out.height; y++)
    for (int i = 0; i < out.width; i++, d += L) {
      const Window w = windowAt(x, in, y, i);
      const V gradient = load(d);
      V value[4], largest = load(w.corner[0]);
      DARTS_UNROLL for (int k = 0; k < 4; k++) {
        value[k] = load(w.corner[k]);
        largest = max(largest, value[k]);
      }
      Mask open = ~Mask{};
      DARTS_UNROLL for (int k = 0; k < 4; k++) {
        const Mask here = (value[k] == largest) & open;
        open &= ~here;
        float* to = dx + (w.corner[k] - x);
        store(to, load(to) + keepWhere(here, gradient));
      }
    }
}

// What of an input's other groups reaches the nodes of a reduction cell.
inline void passInput(const Cell& cell, int state, int n) {
  if (cell.plan->groups == 1 || cell.passed[state] == cell.others[state]) return;
  const Size in = cell.inSize, node = cell.nodeSize;
  const float* from = cell.others[state] + n * cell.otherFloats(in);
  float* to = cell.passed[state] + n * cell.otherFloats(node);
  for (int b = 0; b < (cell.plan->groups - 1) * cell.blocks; b++) halve(from + b * in.block(), in, node, to + b * node.block());
}

// Calls add(edges, count) for the listed edges, as many at a time as Terms holds in one go.
template <class Add>
DARTS_INLINE void inBatches(const int* edges, int count, Add add) {
  constexpr int kAtOnce = kMostTerms;
  for (int i = 0; i < count; i += kAtOnce) add(edges + i, least(kAtOnce, count - i), i == 0);
}

// Once all edges have added to a node's first group: adds up the others, and shuffles.
inline void completeNode(const Cell& cell, int state, int n, const Scratch& s) {
  if (cell.plan->groups == 1 || state < 2) return;
  const Size node = cell.nodeSize;
  const size_t rowFloats = static_cast<size_t>(node.width) * L;
  int edges[kMaxEdges];
  const int count = edgesInto(*cell.plan, state, edges);
  for (int y = 0; y < node.height; y++) {
    const NodeRow row = nodeRow(cell, cell.states[state], cell.others[state], n, y);
    for (int reg = 0; reg < cell.plan->groups * cell.blocks; reg++) {
      float* to = s.rows + reg * rowFloats;
      if (reg < cell.blocks) {
        std::memcpy(to, row.of(reg), rowFloats * sizeof(float));
        continue;
      }
      inBatches(edges, count, [&](const int* batch, int size, bool first) {
        Terms<> terms;
        for (int i = 0; i < size; i++) {
          const float* passed = cell.passed[cell.plan->edge[batch[i]].source] + n * cell.otherFloats(node);
          terms.add(passed + (reg - cell.blocks) * node.block() + row.at, all(cell.bypass[batch[i]]));
        }
        withCount(size, [&](auto terms_) DARTS_LAMBDA {
          constexpr int N = decltype(terms_)::value;
          if (first) weightedRow<N, true>(terms, zero(), node.width, to);
          else weightedRow<N, false>(terms, zero(), node.width, to);
        });
      });
    }
    shuffleRow(cell, s, row);
  }
}

// Once the gradient of a node is complete: takes it apart into those of the two parts that it was made of.
inline void takeApart(const Cell& cell, int state, int n, const Scratch& s) {
  if (cell.plan->groups == 1 || state < 2) return;
  const Size node = cell.nodeSize;
  const size_t rowFloats = static_cast<size_t>(node.width) * L;
  for (int y = 0; y < node.height; y++) {
    const NodeRow row = nodeRow(cell, cell.gradients[state], cell.otherGradients[state], n, y);
    for (int reg = 0; reg < cell.plan->groups * cell.blocks; reg++)
      std::memcpy(s.rows + reg * rowFloats, row.of(reg), rowFloats * sizeof(float));
    shuffleRow(cell, s, row);
  }
}

// Gradients of the nodes that a state's other groups reach, as terms with the weights of the edges.
inline Terms<> bypassTerms(const Cell& cell, const int* edges, int count, int n, bool weighted) {
  Terms<> terms;
  for (int i = 0; i < count; i++)
    terms.add(cell.otherGradients[cell.plan->edge[edges[i]].target] + n * cell.otherFloats(cell.nodeSize),
        weighted ? all(cell.bypass[edges[i]]) : zero());
  return terms;
}

// Phase D: for each edge that leaves the state, Σ D·(what passes), in the slot of its bypass.
inline void bypassSums(const Cell& cell, int state, const int* edges, int count, int n) {
  if (cell.plan->groups == 1) return;
  const size_t floats = cell.otherFloats(cell.nodeSize);
  const float* passed = cell.passed[state] + n * floats;
  inBatches(edges, count, [&](const int* batch, int size, bool) {
    alignas(L * sizeof(float)) float dots[(kMostTerms + 1) * L] = {};
    const Terms<> terms = bypassTerms(cell, batch, size, n, false);
    withCount(size, [&](auto terms_) DARTS_LAMBDA {
      dotRow<decltype(terms_)::value>(terms, passed, static_cast<int>(floats / L), dots, L);
    });
    for (int i = 0; i < size; i++)
      std::memcpy(cell.partial(n, bypassSlot(static_cast<int>(batch - edges) + i)), dots + (i + 1) * L, L * sizeof(float));
  });
}

// The gradient at a state's other groups, for one image.
inline void backwardBypass(const Cell& cell, int state, const int* edges, int count, int n, const Scratch& s) {
  if (cell.plan->groups == 1) return;
  const Size size = cell.sizeOf(state), node = cell.nodeSize;
  float* gradient = cell.otherGradients[state] + n * cell.otherFloats(size);
  const bool halved = cell.passed[state] != cell.others[state];
  for (int b = 0; b < (cell.plan->groups - 1) * cell.blocks; b++) {
    float* to = halved ? s.dMax : gradient + b * node.block();
    inBatches(edges, count, [&](const int* batch, int number, bool first) {
      Terms<> terms = bypassTerms(cell, batch, number, n, true);
      for (int i = 0; i < number; i++) terms.row[i] += b * node.block();
      withCount(number, [&](auto terms_) DARTS_LAMBDA {
        constexpr int N = decltype(terms_)::value;
        if (halved && first) weightedRow<N, true>(terms, zero(), node.pixels(), to);
        else weightedRow<N, false>(terms, zero(), node.pixels(), to);
      });
    });
    if (halved) halveBackward(cell.others[state] + n * cell.otherFloats(size) + b * size.block(), size, node, s.dMax,
        gradient + b * size.block());
  }
}

DARTS_END
