// 1×1 convolutions on a tile of pixels, [blocks][pixels][L] with `stride` floats from block to block.
#pragma once

#include "vector.h"

DARTS_BEGIN

// Outputs of B blocks and P pixels, all in registers; w is [block][inBlocks][L in][L out].
// emit(block, first pixel, Count<P>, values) takes them.
template <int B, int P, class Emit>
DARTS_INLINE void pointwiseTile(const float* __restrict t, size_t stride, const float* __restrict w, int inBlocks,
    int block, int pixel, Emit emit) {
  V sum[B][P];
  DARTS_UNROLL for (int o = 0; o < B; o++) { DARTS_UNROLL for (int j = 0; j < P; j++) sum[o][j] = zero(); }
  const float* first = w + static_cast<size_t>(block) * inBlocks * L * L;
  for (int in = 0; in < inBlocks; in++) {
    const float* x = t + in * stride + static_cast<size_t>(pixel) * L;
    const float* weights = first + static_cast<size_t>(in) * L * L;
    DARTS_UNROLL for (int k = 0; k < L; k++) {
      V weight[B];
      DARTS_UNROLL for (int o = 0; o < B; o++) weight[o] = load(weights + static_cast<size_t>(o) * inBlocks * L * L + k * L);
      DARTS_UNROLL for (int j = 0; j < P; j++) {
        const V value = all(x[j * L + k]);
        DARTS_UNROLL for (int o = 0; o < B; o++) sum[o][j] = fma(value, weight[o], sum[o][j]);
      }
    }
  }
  DARTS_UNROLL for (int o = 0; o < B; o++) emit(block + o, pixel, Count<P>{}, sum[o]);
}

template <class Emit>
DARTS_INLINE void pointwise(const float* t, size_t stride, int pixels, const float* w, int outBlocks, int inBlocks,
    Emit emit) {
  int block = 0;
  constexpr int kPair = kRegisters == 32 ? 8 : 4, kSingle = 2 * kPair;
  for (; block + 2 <= outBlocks; block += 2) {
    tiles<kPair>(pixels, [&](int p, auto tile) DARTS_LAMBDA {
      pointwiseTile<2, decltype(tile)::value>(t, stride, w, inBlocks, block, p, emit);
    });
  }
  if (block < outBlocks) {
    tiles<kSingle>(pixels, [&](int p, auto tile) DARTS_LAMBDA {
      pointwiseTile<1, decltype(tile)::value>(t, stride, w, inBlocks, block, p, emit);
    });
  }
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

// The weight gradient of a tile; g is [outBlocks][inBlocks][L out][L in].
inline void pointwiseWeights(const float* dy, const float* t, size_t stride, int pixels, float* g, int outBlocks,
    int inBlocks) {
  constexpr int kRows = kRegisters == 32 ? 8 : 4;
  for (int out = 0; out < outBlocks; out++) {
    const float* d = dy + out * stride;
    int in = 0;
    for (; in + 2 <= inBlocks; in += 2)
      for (int c = 0; c < L; c += kRows)
        pointwiseWeightTile<kRows, 2>(d + c, t + in * stride, stride, pixels,
            g + ((static_cast<size_t>(out) * inBlocks + in) * L + c) * L);
    if (in < inBlocks)
      for (int c = 0; c < L; c += least(L, 2 * kRows))
        pointwiseWeightTile<L < 2 * kRows ? L : 2 * kRows, 1>(d + c, t + in * stride, stride, pixels,
            g + ((static_cast<size_t>(out) * inBlocks + in) * L + c) * L);
  }
}

DARTS_END
