// 1×1 convolutions on a tile of rows of pixels, [blocks][rows][width][L] with `stride` floats from block to block.
#pragma once

#include "layout.h"

DARTS_BEGIN

// Adds `Lanes` channels of a block of inputs, from channel k0 on, to the outputs of B blocks and P pixels.
template <int B, int P, int Lanes, class Between>
DARTS_INLINE void pointwiseLanes(V (&sum)[B][P], const float* __restrict x, const float* __restrict weights, size_t step, int k0,
    Between between) {
  DARTS_UNROLL for (int k = 0; k < Lanes; k++) {
    between();
    V weight[B];
    DARTS_UNROLL for (int o = 0; o < B; o++) weight[o] = load(weights + o * step + (k0 + k) * L);
    DARTS_UNROLL for (int j = 0; j < P; j++) {
      const V value = all(x[j * L + k0 + k]);
      DARTS_UNROLL for (int o = 0; o < B; o++) sum[o][j] = fma(value, weight[o], sum[o][j]);
    }
  }
}

// Outputs of B blocks and P pixels, all in registers; w is [block][inBlocks][L in][L out]. Of the last block of inputs
// only `lastLanes` channels count, rounded up to four: the others are zeros.
// emit(block, Count<P>, values) takes them.
template <int B, int P, class Emit, class Between>
DARTS_INLINE void pointwiseTile(const float* __restrict x, size_t stride, const float* __restrict w, int inBlocks,
    int lastLanes, int block, Emit emit, Between between) {
  V sum[B][P];
  DARTS_UNROLL for (int o = 0; o < B; o++) { DARTS_UNROLL for (int j = 0; j < P; j++) sum[o][j] = zero(); }
  const size_t step = static_cast<size_t>(inBlocks) * L * L;
  const int whole = lastLanes == L ? inBlocks : inBlocks - 1;
  const float* weights = w + block * step;
  for (int in = 0; in < whole; in++, x += stride, weights += L * L) pointwiseLanes<B, P, L>(sum, x, weights, step, 0, between);
  if (whole < inBlocks)
    for (int k = 0; k < lastLanes; k += 4) pointwiseLanes<B, P, 4>(sum, x, weights, step, k, between);
  DARTS_UNROLL for (int o = 0; o < B; o++) emit(block + o, Count<P>{}, sum[o]);
}

// The same where images of G channels lie side by side: each lane takes from its own image. w is [block][inBlocks][G in][L out].
template <int G, int P, class Emit>
DARTS_INLINE void foldedTile(const float* __restrict t, size_t stride, const float* __restrict w, int inBlocks,
    int block, Emit emit) {
  V sum[P];
  DARTS_UNROLL for (int j = 0; j < P; j++) sum[j] = zero();
  for (int in = 0; in < inBlocks; in++) {
    const float* weights = w + (static_cast<size_t>(block) * inBlocks + in) * G * L;
    V x[P];
    DARTS_UNROLL for (int j = 0; j < P; j++) x[j] = load(t + in * stride + j * L);
    DARTS_UNROLL for (int k = 0; k < G; k++) {
      const V weight = load(weights + k * L);
      DARTS_UNROLL for (int j = 0; j < P; j++) sum[j] = fma(laneOfGroups<G>(x[j], k), weight, sum[j]);
    }
  }
  emit(block, Count<P>{}, sum);
}

// Calls body(Count<group>) for images of `group` < L channels that lie side by side.
template <class Body>
DARTS_INLINE void withGroup(int group, Body body) {
  if (group == 1) return body(Count<1>{});
  if (group == 2) return body(Count<2>{});
  if constexpr (L > 4) if (group == 4) return body(Count<4>{});
  if constexpr (L > 8) if (group == 8) return body(Count<8>{});
}

// Channels in the last block of `blocks` that are read; a factorized reduction's are those of two images, with a last
// block each.
DARTS_INLINE int lastLanesOf(const Fold& fold, int blocks) { return blocks == fold.blocks() ? fold.lastLanes() : L; }

// emit(block, row, first pixel in it, Count<P>, values) takes the outputs: for some blocks all rows, for which their weights
// stay in the first cache. between() runs once for each channel of the inputs in each of the tiles.
template <class Emit, class Between = Nothing>
DARTS_INLINE void pointwise(const float* t, size_t stride, int rows, int width, const float* w, int outBlocks, int inBlocks,
    const Fold& fold, Emit emit, Between between = {}) {
  const auto overPixels = [&](auto widest, auto body) DARTS_LAMBDA {
    for (int y = 0; y < rows; y++)
      tiles<decltype(widest)::value>(width, [&](int x, auto tile) DARTS_LAMBDA {
        body(t + (static_cast<size_t>(y) * width + x) * L, tile, [&](int block, auto count, const V* values) DARTS_LAMBDA { emit(block, y, x, count, values); });
      });
  };
  constexpr int kPair = kRegisters == 32 ? 8 : 4, kSingle = 2 * kPair;
  if (fold.group < L) {
    for (int block = 0; block < outBlocks; block++)
      withGroup(fold.group, [&](auto lanes) DARTS_LAMBDA {
        overPixels(Count<kPair>{}, [&](const float* x, auto tile, auto put) DARTS_LAMBDA {
          foldedTile<decltype(lanes)::value, decltype(tile)::value>(x, stride, w, inBlocks, block, put);
        });
      });
    return;
  }
  const int lastLanes = lastLanesOf(fold, inBlocks);
  int block = 0;
  const auto blocks = [&](auto count, auto widest) DARTS_LAMBDA {
    overPixels(widest, [&](const float* x, auto tile, auto put) DARTS_LAMBDA {
      pointwiseTile<decltype(count)::value, decltype(tile)::value>(x, stride, w, inBlocks, lastLanes, block, put, between);
    });
    block += decltype(count)::value;
  };
  // Three at a time rather than a single one at the end, where the registers suffice.
  const int pairs = kRegisters == 32 && outBlocks % 2 == 1 ? outBlocks - 3 : outBlocks - 1;
  while (block < pairs) blocks(Count<2>{}, Count<kPair>{});
  if constexpr (kRegisters == 32)
    if (block + 3 == outBlocks) return blocks(Count<3>{}, Count<kPair>{});
  if (block < outBlocks) blocks(Count<1>{}, Count<kSingle>{});
}

// g[out][in][c][:] += Σ dy[p][c] · t[p][:] for R rows c from `c` on and B blocks of inputs.
template <int R, int B>
DARTS_INLINE void pointwiseWeightTile(const float* __restrict dy, const float* __restrict t, size_t stride,
    int pixels, float* __restrict g) {
  V sum[B][R];
  DARTS_UNROLL for (int b = 0; b < B; b++) { DARTS_UNROLL for (int c = 0; c < R; c++) sum[b][c] = load(g + (b * L + c) * L); }
  for (int p = 0; p < pixels; p++) {
    V x[B];
    DARTS_UNROLL for (int b = 0; b < B; b++) x[b] = load(t + b * stride + static_cast<size_t>(p) * L);
    DARTS_UNROLL for (int c = 0; c < R; c++) {
      const V gradient = all(dy[p * L + c]);
      DARTS_UNROLL for (int b = 0; b < B; b++) sum[b][c] = fma(gradient, x[b], sum[b][c]);
    }
  }
  DARTS_UNROLL for (int b = 0; b < B; b++) { DARTS_UNROLL for (int c = 0; c < R; c++) store(g + (b * L + c) * L, sum[b][c]); }
}

// The same where images of G channels lie side by side: g[c][:] += Σ dy[p][c of the lane's image] · t[p][:].
template <int G>
inline void foldedWeightTile(const float* __restrict dy, const float* __restrict t, int pixels, float* __restrict g) {
  // Several pixels at a time, so that enough sums are under way.
  constexpr int kPixels = G >= 8 ? 1 : 8 / G;
  V sum[kPixels][G];
  DARTS_UNROLL for (int j = 0; j < kPixels; j++) { DARTS_UNROLL for (int c = 0; c < G; c++) sum[j][c] = zero(); }
  const auto add = [&](int p, int j) DARTS_LAMBDA {
    const V gradient = load(dy + static_cast<size_t>(p) * L), x = load(t + static_cast<size_t>(p) * L);
    DARTS_UNROLL for (int c = 0; c < G; c++) sum[j][c] = fma(laneOfGroups<G>(gradient, c), x, sum[j][c]);
  };
  int p = 0;
  for (; p + kPixels <= pixels; p += kPixels) { DARTS_UNROLL for (int j = 0; j < kPixels; j++) add(p + j, j); }
  for (; p < pixels; p++) add(p, 0);
  DARTS_UNROLL for (int c = 0; c < G; c++) {
    V all = load(g + c * L);
    DARTS_UNROLL for (int j = 0; j < kPixels; j++) all += sum[j][c];
    store(g + c * L, all);
  }
}

// The weight gradient of a tile; g is [outBlocks][inBlocks][group out][L in]. Of the last block of outputs only the
// channels that are there count: the others' gradients stay zeros.
__attribute__((noinline)) void pointwiseWeights(const float* dy, const float* t, size_t stride, int pixels, float* g,
    int outBlocks, int inBlocks, const Fold& fold) {
  if (fold.group < L) {
    for (int in = 0; in < inBlocks; in++)
      withGroup(fold.group, [&](auto lanes) DARTS_LAMBDA {
        foldedWeightTile<decltype(lanes)::value>(dy, t + in * stride, pixels, g + static_cast<size_t>(in) * fold.group * L);
      });
    return;
  }
  constexpr int kRows = kRegisters == 32 ? 8 : 4;
  for (int out = 0; out < outBlocks; out++) {
    const float* d = dy + out * stride;
    const int lanes = out == outBlocks - 1 ? fold.lastLanes() : L;
    int in = 0;
    for (; in + 2 <= inBlocks; in += 2)
      for (int c = 0; c < lanes; c += kRows)
        pointwiseWeightTile<kRows, 2>(d + c, t + in * stride, stride, pixels,
            g + ((static_cast<size_t>(out) * inBlocks + in) * L + c) * L);
    if (in < inBlocks)
      for (int c = 0; c < lanes; c += least(L, 2 * kRows))
        pointwiseWeightTile<L < 2 * kRows ? L : 2 * kRows, 1>(d + c, t + in * stride, stride, pixels,
            g + ((static_cast<size_t>(out) * inBlocks + in) * L + c) * L);
  }
}

DARTS_END
