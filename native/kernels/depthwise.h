// Depthwise convolutions of one block of channels: forward, data gradient, weight gradient.
// K: kernel, D: dilation, S: stride. Images that are read are framed; weights are [K·K][L].
#pragma once

#include "layout.h"

DARTS_BEGIN

constexpr int padding(int K, int D) { return D * (K - 1) / 2; }

// Lines of memory that will be read soon, fetched into the second cache a few at a time between tiles of arithmetic:
// the tensors of the whole batch lie in memory, and a burst of fetches would stand in the way of the tile's own loads.
// A tile of two tensors, which may be the same one: `floats` of each of `blocks` blocks, `stride` floats apart.
struct Ahead {
  const char *first = nullptr, *second = nullptr;
  size_t position = 0, bytes = 0, firstStride = 0, secondStride = 0;
  int blocks = 0;
  void set(Saved a, Saved b, size_t values, size_t apart, int count) {
    const size_t firstSize = a.halves ? sizeof(Bfloat16) : sizeof(float), secondSize = b.halves ? sizeof(Bfloat16) : sizeof(float);
    withSaved(a, [&](const auto* p) { first = reinterpret_cast<const char*>(p); });
    withSaved(b, [&](const auto* p) { second = reinterpret_cast<const char*>(p); });
    position = 0;
    // Of the narrower one its next tile comes along, which is needed soon.
    bytes = values * (firstSize > secondSize ? firstSize : secondSize);
    firstStride = apart * firstSize;
    secondStride = apart * secondSize;
    blocks = count;
  }
  template <int Lines>
  DARTS_INLINE void step() {
    if (blocks == 0) return;
    DARTS_UNROLL for (int i = 0; i < Lines; i++) {
      prefetch(first + position + i * 64);
      prefetch(second + position + i * 64);
    }
    position += Lines * 64;
    if (position < bytes) return;
    position = 0;
    first += firstStride;
    second += secondStride;
    blocks--;
  }
};

// Packed weights, to where they end.
struct Weights { const float *begin = nullptr, *end = nullptr; };

// Weights that will be read soon, fetched into the second cache line by line between multiplications. Of few images each
// weight is read so seldom that waiting for it would take a third of the time.
struct Coming {
  Weights now, then;
  // `weights` are read from here on, the first `atOnce` floats of them before any fetch is done; `after` come behind them.
  void begin(const Weights& weights, size_t atOnce, const Weights& after) {
    const size_t floats = static_cast<size_t>(weights.end - weights.begin);
    if (now.end != weights.end) now = {weights.begin + (atOnce < floats ? atOnce : floats), weights.end};
    then = after;
  }
  DARTS_INLINE void step() {
    constexpr int kLine = 64 / sizeof(float);
    if (now.begin < now.end) {
      prefetch(now.begin);
      now.begin += kLine;
    } else if (then.begin < then.end) {
      now = then;
      then = {};
    }
  }
};

// P pixels of one row: all sums in registers. `in` is the top left tap of the first pixel.
template <int K, int D, int S, int P, bool Add>
DARTS_INLINE void depthwiseTile(const float* __restrict in, size_t row, const float* __restrict w,
    float* __restrict out) {
  V sum[P];
  DARTS_UNROLL for (int j = 0; j < P; j++) sum[j] = Add ? load(out + j * L) : zero();
  DARTS_UNROLL for (int ky = 0; ky < K; ky++) {
    const float* r = in + ky * D * row;
    if constexpr (S == 1 && kRegisters == 32) {
      // A row of inputs is loaded once and serves all taps.
      V x[P + (K - 1) * D];
      DARTS_UNROLL for (int i = 0; i < P + (K - 1) * D; i++) x[i] = load(r + i * L);
      DARTS_UNROLL for (int kx = 0; kx < K; kx++) {
        const V weight = load(w + (ky * K + kx) * L);
        DARTS_UNROLL for (int j = 0; j < P; j++) sum[j] = fma(x[j + kx * D], weight, sum[j]);
      }
    } else {
      DARTS_UNROLL for (int kx = 0; kx < K; kx++) {
        const V weight = load(w + (ky * K + kx) * L);
        DARTS_UNROLL for (int j = 0; j < P; j++) sum[j] = fma(load(r + (j * S + kx * D) * L), weight, sum[j]);
      }
    }
  }
  DARTS_UNROLL for (int j = 0; j < P; j++) store(out + j * L, sum[j]);
}

// Row `y` of the output, `width` pixels, from a framed block.
template <int K, int D, int S, bool Add>
DARTS_INLINE void depthwiseRow(const float* framed, Size size, int y, const float* w, float* out, int width,
    Ahead& ahead) {
  constexpr int pad = padding(K, D);
  const float* in = framed + size.framed(y * S - pad, -pad);
  const size_t row = size.framedRow();
  tiles<8>(width, [&](int x, auto tile) DARTS_LAMBDA {
    ahead.step<L == 16 ? 2 : 1>();
    depthwiseTile<K, D, S, decltype(tile)::value, Add>(in + static_cast<size_t>(x) * S * L, row, w,
        out + static_cast<size_t>(x) * L);
  });
}

// Pixels of one parity in one row of the data gradient of stride 2: dx[2y+PY][2x+PX] = Σ w[ky][kx] · dt[(2y+PY+pad-ky·D)/2][…],
// over the taps for which both halves are whole numbers.
template <int K, int D, int PY, int PX, bool Add>
DARTS_INLINE void parityRow(const float* framedDt, Size dtSize, int y, const float* w, float* dx, int width) {
  constexpr int pad = padding(K, D);
  const size_t row = dtSize.framedRow();
  const float* base = framedDt + dtSize.framed(y, 0);
  tiles<8>((width - PX + 1) / 2, [&](int x, auto tile) DARTS_LAMBDA {
    constexpr int P = decltype(tile)::value;
    float* out = dx + static_cast<size_t>(2 * x + PX) * L;
    V sum[P];
    DARTS_UNROLL for (int j = 0; j < P; j++) sum[j] = Add ? load(out + 2 * j * L) : zero();
    DARTS_UNROLL for (int ky = 0; ky < K; ky++) {
      DARTS_UNROLL for (int kx = 0; kx < K; kx++) {
        const int dy = PY + pad - ky * D, dx2 = PX + pad - kx * D;
        if ((dy & 1) || (dx2 & 1)) continue;
        const V weight = load(w + (ky * K + kx) * L);
        const float* from = base + static_cast<ptrdiff_t>(dy / 2) * static_cast<ptrdiff_t>(row) + static_cast<ptrdiff_t>(x + dx2 / 2) * L;
        DARTS_UNROLL for (int j = 0; j < P; j++) sum[j] = fma(load(from + j * L), weight, sum[j]);
      }
    }
    DARTS_UNROLL for (int j = 0; j < P; j++) store(out + 2 * j * L, sum[j]);
  });
}

// Row `y` of the data gradient, `width` pixels, from the framed gradient of the convolution's output.
// `flipped` are the weights turned by 180° (used at stride 1, where the gradient is a convolution again).
template <int K, int D, int S, bool Add>
DARTS_INLINE void depthwiseDataRow(const float* framedDt, Size dtSize, int y, const float* w, const float* flipped,
    float* dx, int width, Ahead& ahead) {
  if constexpr (S == 1) {
    depthwiseRow<K, D, 1, Add>(framedDt, dtSize, y, flipped, dx, width, ahead);
  } else if (y % 2 == 0) {
    parityRow<K, D, 0, 0, Add>(framedDt, dtSize, y / 2, w, dx, width);
    parityRow<K, D, 0, 1, Add>(framedDt, dtSize, y / 2, w, dx, width);
  } else {
    parityRow<K, D, 1, 0, Add>(framedDt, dtSize, y / 2, w, dx, width);
    parityRow<K, D, 1, 1, Add>(framedDt, dtSize, y / 2, w, dx, width);
  }
}

// Taps of rows KY … KY+Rows-1: g[k] += Σ dt[p] · x[S·p + k], over output rows from `begin` to `end`.
template <int K, int D, int S, int KY, int Rows>
DARTS_INLINE void depthwiseWeightRows(const float* __restrict x, Size size, const float* __restrict dt, Size dtSize,
                                      int begin, int end, float* __restrict g) {
  constexpr int pad = padding(K, D);
  const size_t row = size.framedRow();
  V sum[Rows * K];
  DARTS_UNROLL for (int k = 0; k < Rows * K; k++) sum[k] = load(g + (KY * K + k) * L);
  for (int y = begin; y < end; y++) {
    const float* in = x + size.framed(y * S - pad + KY * D, -pad);
    const float* d = dt + dtSize.framed(y, 0);
    for (int i = 0; i < dtSize.width; i++) {
      const V gradient = load(d + i * L);
      DARTS_UNROLL for (int ky = 0; ky < Rows; ky++) {
        DARTS_UNROLL for (int kx = 0; kx < K; kx++) {
          sum[ky * K + kx] = fma(gradient, load(in + ky * D * row + (i * S + kx * D) * L), sum[ky * K + kx]);
        }
      }
    }
  }
  DARTS_UNROLL for (int k = 0; k < Rows * K; k++) store(g + (KY * K + k) * L, sum[k]);
}

// As many rows of taps at a time as there are registers for their sums, from row KY on.
template <int K, int D, int S, int KY>
DARTS_INLINE void depthwiseWeightsFrom(const float* x, Size size, const float* dt, Size dtSize, int begin, int end, float* g) {
  constexpr int most = kRegisters == 32 ? 25 / K : 10 / K, rows = most < K - KY ? most : K - KY;
  if constexpr (rows > 0) {
    depthwiseWeightRows<K, D, S, KY, rows>(x, size, dt, dtSize, begin, end, g);
    depthwiseWeightsFrom<K, D, S, KY + rows>(x, size, dt, dtSize, begin, end, g);
  }
}

template <int K, int D, int S>
__attribute__((noinline)) void depthwiseWeights(const float* x, Size size, const float* dt, Size dtSize, int begin,
    int end, float* g) {
  depthwiseWeightsFrom<K, D, S, 0>(x, size, dt, dtSize, begin, end, g);
}

DARTS_END
