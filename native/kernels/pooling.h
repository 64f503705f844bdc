// Both 3×3 poolings with padding 1, of one block of channels. The mean does not count the padding; the maximum's
// gradient goes to the first of equal values in scan order, as PyTorch's does.
#pragma once

#include "layout.h"

DARTS_BEGIN

// Column maxima and sums of three rows, one column of padding on each side: [width + 2][L].
struct PoolColumns {
  float *maxima, *sums;
};

// 1 / the pixels of a window that lie in the image.
DARTS_INLINE float inverseCount(Size in, int centerY, int centerX) {
  const int rows = 1 + (centerY > 0) + (centerY < in.height - 1),
      columns = 1 + (centerX > 0) + (centerX < in.width - 1);
  return 1.0f / static_cast<float>(rows * columns);
}

// Row `y` of both pooled images.
inline void poolRow(const float* x, Size in, int stride, int y, int outWidth, PoolColumns columns, float* maxima,
    float* means) {
  const int center = y * stride, width = in.width;
  const bool above = center > 0, below = center < in.height - 1;
  const size_t row = static_cast<size_t>(width) * L;
  const float *middle = x + center * row, *upper = above ? middle - row : middle,
      *lower = below ? middle + row : middle;
  const V up = all(above ? 1.0f : 0.0f), down = all(below ? 1.0f : 0.0f);
  store(columns.maxima, all(-INFINITY));
  store(columns.maxima + (width + 1) * L, all(-INFINITY));
  store(columns.sums, zero());
  store(columns.sums + (width + 1) * L, zero());
  for (int i = 0; i < width; i++) {
    const V a = load(upper + i * L), b = load(middle + i * L), c = load(lower + i * L);
    store(columns.maxima + (i + 1) * L, max(max(a, b), c));
    store(columns.sums + (i + 1) * L, fma(c, down, fma(a, up, b)));
  }
  for (int i = 0; i < outWidth; i++) {
    const float *m = columns.maxima + i * stride * L, *s = columns.sums + i * stride * L;
    store(maxima + i * L, max(max(load(m), load(m + L)), load(m + 2 * L)));
    store(means + i * L, (load(s) + load(s + L) + load(s + 2 * L)) * all(inverseCount(in, center, i * stride)));
  }
}

// `rows` rows of both pooled images, from row `y` on.
inline void poolRows(const float* x, Size in, int stride, int y, int rows, int outWidth, PoolColumns columns, float* maxima,
    float* means) {
  for (int r = 0; r < rows; r++) {
    const size_t at = static_cast<size_t>(r) * outWidth * L;
    poolRow(x, in, stride, y + r, outWidth, columns, maxima + at, means + at);
  }
}

// Scratch of the backward pass: the input and its gradient with one pixel of padding all round.
struct PoolFrames {
  float *x, *gradient;
};

// Adds both poolings' data gradients to dx; dMax and dMean are gradients of the pooled images.
inline void poolBackward(const float* x, Size in, Size out, int stride, const float* dMax, const float* dMean,
    PoolFrames frames, float* dx) {
  const int framedWidth = in.width + 2;
  const int framedPixels = framedWidth * (in.height + 2);
  for (int i = 0; i < framedPixels; i++) {
    store(frames.x + i * L, all(-INFINITY));
    store(frames.gradient + i * L, zero());
  }
  for (int y = 0; y < in.height; y++)
    std::memcpy(frames.x + ((y + 1) * framedWidth + 1) * L, x + static_cast<size_t>(y) * in.width * L,
        in.width * L * sizeof(float));
  for (int y = 0; y < out.height; y++) {
    for (int i = 0; i < out.width; i++) {
      const size_t corner = static_cast<size_t>(y * stride * framedWidth + i * stride) * L;
      V value[9], largest = all(-INFINITY);
      DARTS_UNROLL for (int k = 0; k < 9; k++) {
        value[k] = load(frames.x + corner + (k / 3 * framedWidth + k % 3) * L);
        largest = max(largest, value[k]);
      }
      const V toMaximum = load(dMax + (y * out.width + i) * L);
      const V toAll = load(dMean + (y * out.width + i) * L) * all(inverseCount(in, y * stride, i * stride));
      Mask open = ~Mask{};
      DARTS_UNROLL for (int k = 0; k < 9; k++) {
        const Mask here = (value[k] == largest) & open;
        open &= ~here;
        float* to = frames.gradient + corner + (k / 3 * framedWidth + k % 3) * L;
        store(to, load(to) + toAll + keepWhere(here, toMaximum));
      }
    }
  }
  for (int y = 0; y < in.height; y++) {
    const float* from = frames.gradient + ((y + 1) * framedWidth + 1) * L;
    float* to = dx + static_cast<size_t>(y) * in.width * L;
    for (int i = 0; i < in.width; i++) store(to + i * L, load(to + i * L) + load(from + i * L));
  }
}

DARTS_END
