// 1×1 convolutions on a tile of pixels, [blocks][pixels][L] with `stride` floats from block to block.
#pragma once

#include "vector.h"

DARTS_BEGIN

// Adds `Lanes` channels of a block of inputs, from channel k0 on, to the outputs of B blocks and P pixels.
template <int B, int P, int Lanes>
DARTS_INLINE void pointwiseLanes(V (&sum)[B][P], const float* __restrict x, const float* __restrict weights, size_t step, int k0) {
  DARTS_UNROLL for (int k = 0; k < Lanes; k++) {
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
// emit(block, first pixel, Count<P>, values) takes them.
template <int B, int P, class Emit>
DARTS_INLINE void pointwiseTile(const float* __restrict t, size_t stride, const float* __restrict w, int inBlocks,
    int lastLanes, int block, int pixel, Emit emit) {
  V sum[B][P];
  DARTS_UNROLL for (int o = 0; o < B; o++) { DARTS_UNROLL for (int j = 0; j < P; j++) sum[o][j] = zero(); }
  const size_t step = static_cast<size_t>(inBlocks) * L * L;
  const int whole = lastLanes == L ? inBlocks : inBlocks - 1;
  const float *x = t + static_cast<size_t>(pixel) * L, *weights = w + block * step;
  for (int in = 0; in < whole; in++, x += stride, weights += L * L) pointwiseLanes<B, P, L>(sum, x, weights, step, 0);
  if (whole < inBlocks)
    for (int k = 0; k < lastLanes; k += 4) pointwiseLanes<B, P, 4>(sum, x, weights, step, k);
  DARTS_UNROLL for (int o = 0; o < B; o++) emit(block + o, pixel, Count<P>{}, sum[o]);
}

template <class Emit>
DARTS_INLINE void pointwise(const float* t, size_t stride, int pixels, const float* w, int outBlocks, int inBlocks,
    int lastLanes, Emit emit) {
  constexpr int kPair = kRegisters == 32 ? 8 : 4, kSingle = 2 * kPair;
  int block = 0;
  const auto blocks = [&](auto count, auto widest) DARTS_LAMBDA {
    tiles<decltype(widest)::value>(pixels, [&](int p, auto tile) DARTS_LAMBDA {
      pointwiseTile<decltype(count)::value, decltype(tile)::value>(t, stride, w, inBlocks, lastLanes, block, p, emit);
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

// The weight gradient of a tile; g is [outBlocks][inBlocks][L out][L in]. Of the last block of outputs only `lastLanes`
// channels count: the others' gradients stay zeros.
inline void pointwiseWeights(const float* dy, const float* t, size_t stride, int pixels, float* g, int outBlocks,
    int inBlocks, int lastLanes) {
  constexpr int kRows = kRegisters == 32 ? 8 : 4;
  for (int out = 0; out < outBlocks; out++) {
    const float* d = dy + out * stride;
    const int lanes = out == outBlocks - 1 ? lastLanes : L;
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
