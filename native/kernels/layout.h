// How images lie in memory: [N][blocks][H·W][L], L channels of a pixel side by side in one register (nChw16c).
// Channels that do not fill the last block are zeros, and stay zeros through every kernel.
#pragma once

#include "vector.h"

DARTS_BEGIN

// Zeros around the scratch images that convolutions read: no kernel has code for borders.
constexpr int kFrame = 4;

// Size of an image, plain and framed.
struct Size {
  int height, width;
  int pixels() const { return height * width; }
  int framedWidth() const { return width + 2 * kFrame; }
  size_t framedRow() const { return static_cast<size_t>(framedWidth()) * L; }
  size_t framedBlock() const { return framedRow() * (height + 2 * kFrame); }
  size_t block() const { return static_cast<size_t>(pixels()) * L; }
  // Offset of a pixel in a framed block; rows and columns from -kFrame on.
  size_t framed(int y, int x) const { return (y + kFrame) * framedRow() + static_cast<size_t>(x + kFrame) * L; }
};

// max(x, 0) into a framed image; with a normalisation before it: max((x - mean)·rstd, 0).
inline void frameRelu(const float* x, int blocks, Size size, float* framed) {
  for (int b = 0; b < blocks; b++)
    for (int y = 0; y < size.height; y++) {
      const float* from = x + b * size.block() + static_cast<size_t>(y) * size.width * L;
      float* to = framed + b * size.framedBlock() + size.framed(y, 0);
      for (int i = 0; i < size.width; i++) store(to + i * L, relu(load(from + i * L)));
    }
}

inline void frameNormRelu(const float* x, const float* mean, const float* rstd, int blocks, Size size, float* framed) {
  for (int b = 0; b < blocks; b++) {
    const V scale = load(rstd + b * L), shift = zero() - load(mean + b * L) * scale;
    for (int y = 0; y < size.height; y++) {
      const float* from = x + b * size.block() + static_cast<size_t>(y) * size.width * L;
      float* to = framed + b * size.framedBlock() + size.framed(y, 0);
      for (int i = 0; i < size.width; i++) store(to + i * L, relu(fma(load(from + i * L), scale, shift)));
    }
  }
}

DARTS_END
