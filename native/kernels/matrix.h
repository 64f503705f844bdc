// 1×1 convolutions from many blocks of channels to others: a matrix with a row for each channel that is there, so that
// lanes that only pad a block cost no multiplications on the input's side, and neither do halves of zeros.
#pragma once

#include "vector.h"

DARTS_BEGIN

// What a product reads: a tile of pixels, [blocks][pixels][L], and where in it the channel of each row begins.
// Weights are [blocks of outputs][rows][L]; block `b` needs the rows from begin[b] to end[b] only.
struct Matrix {
  int rows, blocks;
  int32_t *offset, *begin, *end;
};

// How many blocks of outputs are computed together from `block` on: they need the same rows.
DARTS_INLINE int blocksTogether(const Matrix& m, int block) {
  constexpr int kMost = kRegisters == 32 ? 3 : 2;
  int alike = 1;
  while (block + alike < m.blocks && m.begin[block + alike] == m.begin[block] && m.end[block + alike] == m.end[block]) alike++;
  return alike == 4 ? 2 : alike < kMost ? alike : kMost;
}

// Calls body(first block, Count<blocks>) for all blocks of outputs.
template <class Body>
DARTS_INLINE void overBlocks(const Matrix& m, Body body) {
  for (int block = 0; block < m.blocks;) {
    const int count = blocksTogether(m, block);
    if (count == 1) body(block, Count<1>{});
    else if (count == 2) body(block, Count<2>{});
    else if constexpr (kRegisters == 32) body(block, Count<3>{});
    block += count;
  }
}

template <int Apart, int B, int P, class Emit, class Between>
DARTS_INLINE void productTile(const Matrix& m, const float* __restrict w, const float* __restrict t, int block,
    int pixel, Emit emit, Between between) {
  V sum[B][P];
  DARTS_UNROLL for (int o = 0; o < B; o++) { DARTS_UNROLL for (int j = 0; j < P; j++) sum[o][j] = zero(); }
  const size_t next = static_cast<size_t>(m.rows) * L;
  const float* first = t + static_cast<size_t>(pixel) * Apart;
  const float* weights = w + block * next + static_cast<size_t>(m.begin[block]) * L;
  const int32_t *offset = m.offset + m.begin[block], *last = m.offset + m.end[block];
  for (; offset < last; offset++, weights += L) {
    between();
    const float* x = first + *offset;
    V weight[B];
    DARTS_UNROLL for (int o = 0; o < B; o++) weight[o] = load(weights + o * next);
    DARTS_UNROLL for (int j = 0; j < P; j++) {
      const V value = all(x[j * Apart]);
      DARTS_UNROLL for (int o = 0; o < B; o++) sum[o][j] = fma(value, weight[o], sum[o][j]);
    }
  }
  DARTS_UNROLL for (int o = 0; o < B; o++) emit(block + o, pixel, Count<P>{}, sum[o]);
}

// The product of a tile whose pixels lie `Apart` floats apart; emit(block, first pixel, Count<P>, values) takes the outputs.
// between() runs once for each row, as often as it is read.
template <int Apart = L, class Emit, class Between = Nothing>
DARTS_INLINE void product(const Matrix& m, const float* w, const float* t, int pixels, Emit emit, Between between = {}) {
  overBlocks(m, [&](int block, auto together) DARTS_LAMBDA {
    constexpr int B = decltype(together)::value, kWidest = (B == 1 ? 16 : 8) / (kRegisters == 32 ? 1 : 2);
    tiles<kWidest>(pixels, [&](int p, auto tile) DARTS_LAMBDA {
      productTile<Apart, B, decltype(tile)::value>(m, w, t, block, p, emit, between);
    });
  });
}

// R rows of the weight gradient, from `x` on, which is the first row's channel of the first pixel.
template <int B, int R>
DARTS_INLINE void rowGradients(const float* __restrict x, const float* __restrict dy, size_t stride, int pixels,
    float* __restrict g, size_t next) {
  V sum[B][R];
  DARTS_UNROLL for (int o = 0; o < B; o++) { DARTS_UNROLL for (int r = 0; r < R; r++) sum[o][r] = load(g + o * next + r * L); }
  for (int p = 0; p < pixels; p++) {
    V d[B];
    DARTS_UNROLL for (int o = 0; o < B; o++) d[o] = load(dy + o * stride + static_cast<size_t>(p) * L);
    DARTS_UNROLL for (int r = 0; r < R; r++) {
      const V value = all(x[static_cast<size_t>(p) * L + r]);
      DARTS_UNROLL for (int o = 0; o < B; o++) sum[o][r] = fma(value, d[o], sum[o][r]);
    }
  }
  DARTS_UNROLL for (int o = 0; o < B; o++) { DARTS_UNROLL for (int r = 0; r < R; r++) store(g + o * next + r * L, sum[o][r]); }
}

// Adds a tile's weight gradient to g, which lies as the weights do; dy is [blocks of outputs][..][L], `stride` apart.
inline void productWeights(const Matrix& m, const float* dy, size_t stride, const float* t, int pixels, float* g) {
  const size_t next = static_cast<size_t>(m.rows) * L;
  overBlocks(m, [&](int block, auto together) DARTS_LAMBDA {
    constexpr int B = decltype(together)::value, kWidest = (B == 1 ? 16 : 8) / (kRegisters == 32 ? 1 : 2);
    for (int row = m.begin[block]; row < m.end[block];) {
      // Rows whose channels lie side by side.
      int run = 1;
      while (run < L && row + run < m.end[block] && m.offset[row + run] == m.offset[row] + run) run++;
      tiles<kWidest>(run, [&](int r, auto tile) DARTS_LAMBDA {
        rowGradients<B, decltype(tile)::value>(t + m.offset[row] + r, dy + block * stride, stride, pixels,
            g + block * next + static_cast<size_t>(row + r) * L, next);
      });
      row += run;
    }
  });
}

DARTS_END
