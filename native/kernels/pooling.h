// Both 3×3 poolings with padding 1, of one block of channels. The mean does not count the padding; the maximum's
// gradient goes to the first of equal values in scan order, as PyTorch's does.
#pragma once

#include "layout.h"

DARTS_BEGIN

// 1 / the pixels of a window that lie in the image, in `columns` columns.
DARTS_INLINE float inverseCount(Size in, int centerY, int columns) {
  const int rows = 1 + (centerY > 0) + (centerY < in.height - 1);
  return 1.0f / static_cast<float>(rows * columns);
}

// Maximum and sum of three pixels one above the other.
struct PoolColumn {
  V maximum = all(-INFINITY), sum = zero();
};

// Row `y` of both pooled images, of values that are scaled when they are read. Each column is made once.
inline void poolRow(const float* x, Size in, int stride, int y, int outWidth, float* maxima, float* means,
    const Scaled& scaling = {}) {
  const Scaled scaled = scaling;  // in registers
  const int center = y * stride, width = in.width;
  const bool above = center > 0, below = center < in.height - 1;
  const size_t row = static_cast<size_t>(width) * L;
  const float *middle = x + center * row, *upper = above ? middle - row : middle,
      *lower = below ? middle + row : middle;
  const V up = all(above ? 1.0f : 0.0f), down = all(below ? 1.0f : 0.0f);
  const auto column = [&](int i) DARTS_LAMBDA {
    if (i >= width) return PoolColumn{};
    const V a = scaled(load(upper + i * L)), b = scaled(load(middle + i * L)), c = scaled(load(lower + i * L));
    return PoolColumn{max(max(a, b), c), fma(c, down, fma(a, up, b))};
  };
  // By the number of columns that lie in the image.
  const float inverse[] = {0, inverseCount(in, center, 1), inverseCount(in, center, 2), inverseCount(in, center, 3)};
  PoolColumn left, here = column(0);
  for (int i = 0; i < outWidth; i++) {
    const int at = i * stride;
    const PoolColumn right = column(at + 1);
    store(maxima + i * L, max(max(left.maximum, here.maximum), right.maximum));
    store(means + i * L, (left.sum + here.sum + right.sum) * all(inverse[1 + (at > 0) + (at + 1 < width)]));
    left = stride == 1 ? here : right;
    here = stride == 1 ? right : column(at + 2);
  }
}

// `rows` rows of both pooled images, from row `y` on.
inline void poolRows(const float* x, Size in, int stride, int y, int rows, int outWidth, float* maxima, float* means,
    const Scaled& scaled) {
  for (int r = 0; r < rows; r++) {
    const size_t at = static_cast<size_t>(r) * outWidth * L;
    poolRow(x, in, stride, y + r, outWidth, maxima + at, means + at, scaled);
  }
}

// Scratch of the backward pass: the input and its gradient with one pixel of padding all round.
struct PoolFrames {
  float *x, *gradient;
};

// Adds both poolings' data gradients to dx; dMax and dMean are gradients of the pooled images.
inline void poolBackward(const float* x, const Scaled& scaling, Size in, Size out, int stride, const float* dMax,
    const float* dMean, PoolFrames frames, float* dx) {
  const Scaled scaled = scaling;
  const int framedWidth = in.width + 2;
  const int framedPixels = framedWidth * (in.height + 2);
  for (int i = 0; i < framedPixels; i++) {
    store(frames.x + i * L, all(-INFINITY));
    store(frames.gradient + i * L, zero());
  }
  for (int y = 0; y < in.height; y++) {
    const float* from = x + static_cast<size_t>(y) * in.width * L;
    float* to = frames.x + ((y + 1) * framedWidth + 1) * L;
    for (int i = 0; i < in.width; i++) store(to + i * L, scaled(load(from + i * L)));
  }
  for (int y = 0; y < out.height; y++) {
    for (int i = 0; i < out.width; i++) {
      const size_t corner = static_cast<size_t>(y * stride * framedWidth + i * stride) * L;
      V value[9], largest = all(-INFINITY);
      DARTS_UNROLL for (int k = 0; k < 9; k++) {
        value[k] = load(frames.x + corner + (k / 3 * framedWidth + k % 3) * L);
        largest = max(largest, value[k]);
      }
      const V toMaximum = load(dMax + (y * out.width + i) * L);
      const V toAll = load(dMean + (y * out.width + i) * L) * all(inverseCount(in, y * stride, 1 + (i > 0) + (i * stride + 1 < in.width)));
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
