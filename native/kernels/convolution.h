// A depthwise and a pointwise convolution as one kernel, tile by tile of a few rows: what lies between the two
// never leaves the first cache. Also the factorized reduction, whose "depthwise" part takes every other pixel.
#pragma once

#include "depthwise.h"
#include "context.h"
#include "pointwise.h"

DARTS_BEGIN

template <int K, int D, int S> struct Shape {};

// Calls body(Shape<kernel, dilation, stride>) for a unit of an edge.
template <class Body>
DARTS_INLINE void withShape(int unit, int stride, Body body) {
  if (unit >= kSep3Second) stride = 1;
  switch (unit) {
    case kSep3First: case kSep3Second: return stride == 1 ? body(Shape<3, 1, 1>{}) : body(Shape<3, 1, 2>{});
    case kSep5First: case kSep5Second: return stride == 1 ? body(Shape<5, 1, 1>{}) : body(Shape<5, 1, 2>{});
    case kSep7First: case kSep7Second: return stride == 1 ? body(Shape<7, 1, 1>{}) : body(Shape<7, 1, 2>{});
    case kDil3Unit: return stride == 1 ? body(Shape<3, 2, 1>{}) : body(Shape<3, 2, 2>{});
    default: return stride == 1 ? body(Shape<5, 2, 1>{}) : body(Shape<5, 2, 2>{});
  }
}

// Adds a tile's values to an image's statistics, [3][channels]: Σ(y - shift), Σ(y - shift)² and the shift, which is
// the image's first value: squares do not cancel where the mean is much larger than the deviation.
template <int P>
DARTS_INLINE void addStatistics(const V* values, float* sums, size_t channels, int block, bool first) {
  float *s = sums + block * L, *q = sums + channels + block * L, *k = sums + 2 * channels + block * L;
  if (first) store(k, values[0]);
  const V shift = load(k);
  V sum = zero(), square = zero();
  DARTS_UNROLL for (int j = 0; j < P; j++) {
    const V difference = values[j] - shift;
    sum += difference;
    square = fma(difference, difference, square);
  }
  store(s, load(s) + sum);
  store(q, load(q) + square);
}

// Lines to fetch ahead beside P pixels of pointwise work: it takes the longer part of a unit's time, so half of the lines.
constexpr int aheadOf(int P) { return (P * L / 16 + 1) / 2; }

// The pointwise part of a tile of output rows, into y, with statistics unless `sums` is null: those of the values as they
// are read back, so that what is normalised has the mean and variance that backward takes for granted. Not inlined, nor is its
// backward: each holds a kernel for every group of lanes, and in the kernels below, which are made for each shape, they
// would be made as often.
template <class T>
__attribute__((noinline)) void pointwiseForward(const Cell& cell, const Convolution& c, int inBlocks, const float* t, size_t tile,
    int y0, int pixels, T* y, float* sums, Ahead& ahead) {
  const Size size = cell.nodeSize;
  T* rows = y + static_cast<size_t>(y0) * size.width * L;
  pointwise(t, tile, 1, pixels, c.pointwise, cell.blocks, inBlocks, cell.fold, [&](int block, int, int p, auto count,
      const V* values) DARTS_LAMBDA {
    constexpr int P = decltype(count)::value;
    ahead.step<aheadOf(P)>();
    T* out = rows + block * size.block() + static_cast<size_t>(p) * L;
    V kept[P];
    DARTS_UNROLL for (int j = 0; j < P; j++) kept[j] = rounded<T>(values[j]);
    DARTS_UNROLL for (int j = 0; j < P; j++) stream(out + j * L, kept[j]);
    if (sums) addStatistics<P>(kept, sums, cell.channels, block, y0 == 0 && p == 0);
  });
}

template <int K, int D, int S>
DARTS_INLINE void depthwiseRows(const Cell& cell, const Convolution& c, const float* framed, Size in, int y0,
    int rows, float* t, size_t tile, Ahead& ahead) {
  const int width = cell.nodeSize.width;
  for (int b = 0; b < cell.blocks; b++)
    for (int r = 0; r < rows; r++)
      depthwiseRow<K, D, S, false>(framed + b * in.framedBlock(), in, y0 + r, c.depthwise + b * K * K * L,
          t + b * tile + static_cast<size_t>(r) * width * L, width, ahead);
}

// y of one image from its framed input, and its sums (zeroed before) for the statistics, unless these are null.
template <int K, int D, int S>
__attribute__((noinline)) void unitForward(const Cell& cell, const Convolution& c, const float* framed, Size in,
    Saved y, float* sums, Scratch& s, Shape<K, D, S>) {
  const Size out = cell.nodeSize;
  const int rows = cell.tileRows();
  const size_t tile = static_cast<size_t>(rows) * out.width * L;
  for (int y0 = 0; y0 < out.height; y0 += rows) {
    const int here = least(rows, out.height - y0);
    depthwiseRows<K, D, S>(cell, c, framed, in, y0, here, s.t, tile, s.ahead);
    withSaved(y, [&](auto* to) { pointwiseForward(cell, c, cell.blocks, s.t, tile, y0, here * out.width, to, sums, s.ahead); });
  }
}

// The gradient of one image behind a normalisation, and how much of it came through the image's path.
struct Gradient {
  Saved values;
  V path;
};

// A tile of dy = a·d + b·(y - mean) + k, the gradient before a normalisation: `pixels` of every block from row y0 on.
// Lanes of images that are not there have none.
template <class D, class Y>
__attribute__((noinline)) void loadGradientOf(const Convolution& c, const D* d, V path, const Y* y, Size out, int y0, int pixels,
    int blocks, size_t tile, int lanes, float* dy) {
  const Mask present = firstLanes(lanes);
  for (int b = 0; b < blocks; b++) {
    const V ca = load(c.a + b * L) * path, cb = keepWhere(present, load(c.b + b * L)),
        ck = keepWhere(present, load(c.k + b * L)), mean = load(c.mean + b * L);
    const size_t at = b * out.block() + static_cast<size_t>(y0) * out.width * L;
    for (int p = 0; p < pixels; p++) store(dy + b * tile + p * L, fma(load(d + at + p * L), ca,
        fma(load(y + at + p * L) - mean, cb, ck)));
  }
}

DARTS_INLINE void loadGradient(const Convolution& c, const Gradient& gradient, Saved y, Size out, int y0, int pixels, int blocks,
    size_t tile, int lanes, float* dy) {
  withSaved(gradient.values, [&](const auto* d) {
    withSaved(y, [&](const auto* values) { loadGradientOf(c, d, gradient.path, values, out, y0, pixels, blocks, tile, lanes, dy); });
  });
}

// The gradient between the two convolutions, `rows` rows from dy on, into a framed image, for its turn as an input.
__attribute__((noinline)) void pointwiseBackward(const Cell& cell, const Convolution& c, const float* dy, size_t tile,
    int y0, int rows, float* dt, Ahead& ahead) {
  const Size out = cell.nodeSize;
  pointwise(dy, tile, rows, out.width, c.transposed, cell.blocks, cell.blocks, cell.fold,
      [&](int block, int y, int x, auto count, const V* values) DARTS_LAMBDA {
    constexpr int P = decltype(count)::value;
    ahead.step<aheadOf(P)>();
    float* to = dt + block * out.framedBlock() + out.framed(y0 + y, x);
    DARTS_UNROLL for (int j = 0; j < P; j++) store(to + j * L, values[j]);
  });
}

// Backward of a unit for one image. dy is made on load; the depthwise output is made again.
// Adds to the weight gradients g of the chunk, where they are wanted; writes dx (the gradient at the framed input), or adds to it.
template <int K, int D, int S>
__attribute__((noinline)) void unitBackward(const Cell& cell, const Convolution& c, const float* framed, Size in,
    const Gradient& d, Saved y, float* g, float* dx, bool add, Scratch& s, Shape<K, D, S>) {
  const Size out = cell.nodeSize;
  const int rows = cell.tileRows(), blocks = cell.blocks;
  const size_t tile = static_cast<size_t>(rows) * out.width * L;
  constexpr int pad = padding(K, D);
  int done = 0;
  for (int y0 = 0; y0 < out.height; y0 += rows) {
    const int here = least(rows, out.height - y0), pixels = here * out.width;
    // The next tile, or the first one of the next unit.
    const size_t next = static_cast<size_t>(y0 + here) * out.width * L;
    if (y0 + here < out.height) s.ahead.set(d.values + next, y + next, tile, out.block(), blocks);
    else if (s.next.y) s.ahead.set(s.next.gradient, s.next.y, tile, out.block(), blocks);
    loadGradient(c, d, y, out, y0, pixels, blocks, tile, s.lanes, s.dy);
    if (cell.wantsWeights) {
      depthwiseRows<K, D, S>(cell, c, framed, in, y0, here, s.t, tile, s.ahead);
      pointwiseWeights(s.dy, s.t, tile, pixels, g + c.pointwiseGradient, blocks, blocks, cell.fold);
    }
    pointwiseBackward(cell, c, s.dy, tile, y0, here, s.dt, s.ahead);
    // Rows of dx that no later row of dt reaches.
    const int ready = y0 + here == out.height ? in.height : most(0, least(in.height, S * (y0 + here) - pad));
    for (int b = 0; b < blocks; b++) {
      const float* dt = s.dt + b * out.framedBlock();
      if (cell.wantsWeights) depthwiseWeights<K, D, S>(framed + b * in.framedBlock(), in, dt, out, y0, y0 + here,
          g + c.depthwiseGradient + b * K * K * L);
      const float *w = c.depthwise + b * K * K * L, *flipped = c.flipped + b * K * K * L;
      for (int yy = done; yy < ready; yy++) {
        float* row = dx + b * in.block() + static_cast<size_t>(yy) * in.width * L;
        if (add) depthwiseDataRow<K, D, S, true>(dt, out, yy, w, flipped, row, in.width, s.ahead);
        else depthwiseDataRow<K, D, S, false>(dt, out, yy, w, flipped, row, in.width, s.ahead);
      }
    }
    done = most(done, ready);
  }
}

// Every other pixel of the input, and every other pixel one further down and right, side by side.
inline void gatherReduced(const Cell& cell, const float* framed, int y0, int rows, float* t, size_t tile) {
  const Size in = cell.inSize;
  const int width = cell.nodeSize.width;
  for (int half = 0; half < 2; half++)
    for (int b = 0; b < cell.blocks; b++)
      for (int r = 0; r < rows; r++) {
        const float* from = framed + b * in.framedBlock() + in.framed(2 * (y0 + r) + half, half);
        float* to = t + (half * cell.blocks + b) * tile + static_cast<size_t>(r) * width * L;
        for (int i = 0; i < width; i++) store(to + i * L, load(from + 2 * i * L));
      }
}

inline void reduceForward(const Cell& cell, const Convolution& c, const float* framed, Saved y, float* sums,
    Scratch& s) {
  const Size out = cell.nodeSize;
  const int rows = cell.tileRows();
  const size_t tile = static_cast<size_t>(rows) * out.width * L;
  for (int y0 = 0; y0 < out.height; y0 += rows) {
    const int here = least(rows, out.height - y0);
    gatherReduced(cell, framed, y0, here, s.t, tile);
    withSaved(y, [&](auto* to) { pointwiseForward(cell, c, 2 * cell.blocks, s.t, tile, y0, here * out.width, to, sums, s.ahead); });
  }
}

// Adds to dx.
inline void reduceBackward(const Cell& cell, const Convolution& c, const float* framed, const Gradient& d,
    Saved y, float* g, float* dx, Scratch& s) {
  const Size in = cell.inSize, out = cell.nodeSize;
  const int rows = cell.tileRows(), blocks = cell.blocks;
  const size_t tile = static_cast<size_t>(rows) * out.width * L;
  for (int y0 = 0; y0 < out.height; y0 += rows) {
    const int here = least(rows, out.height - y0), pixels = here * out.width;
    loadGradient(c, d, y, out, y0, pixels, blocks, tile, s.lanes, s.dy);
    if (cell.wantsWeights) {
      gatherReduced(cell, framed, y0, here, s.t, tile);
      pointwiseWeights(s.dy, s.t, tile, pixels, g + c.pointwiseGradient, blocks, 2 * blocks, cell.fold);
    }
    pointwise(s.dy, tile, here, out.width, c.transposed, 2 * blocks, blocks, cell.fold,
        [&](int block, int y, int x, auto count, const V* values) DARTS_LAMBDA {
      constexpr int P = decltype(count)::value;
      const int half = block >= blocks, yy = 2 * (y0 + y) + half;
      if (yy >= in.height) return;
      float* row = dx + (block - half * blocks) * in.block() + static_cast<size_t>(yy) * in.width * L;
      DARTS_UNROLL for (int j = 0; j < P; j++) {
        const int xx = 2 * (x + j) + half;
        if (xx < in.width) store(row + xx * L, load(row + xx * L) + values[j]);
      }
    });
  }
}

DARTS_END
