// How images lie in memory: [N][blocks][H·W][L], L channels of a pixel side by side in one register (nChw16c).
// Channels that do not fill the last block are zeros, and stay zeros through every kernel. Narrow images are folded.
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

// Which image and channel a lane holds. A few channels would leave most lanes of a block empty: then several images lie
// side by side in it, as one: lane l is channel l % group of the image l / group among them.
struct Fold {
  int images, channels;  // of the batch
  int together;          // images that lie side by side
  int group;             // lanes of one image in a block: all, or its channels

  int count() const { return (images + together - 1) / together; }
  int blocks() const { return (channels + L - 1) / L; }
  size_t lanes() const { return static_cast<size_t>(blocks()) * L; }  // of all blocks
  // Channels in the last block.
  int lastLanes() const { return channels - (blocks() - 1) * L; }
  size_t imageFloats(Size size) const { return size.block() * blocks(); }
  // Images side by side in the n-th: the last one may not be full, and nothing may count what its other lanes hold.
  int present(int n) const { return least(together, images - n * together); }
};

inline Fold unfolded(int images, int channels) { return {images, channels, 1, L}; }

inline Fold folded(int images, int channels) {
  const int group = channels < L && L % channels == 0 ? channels : L;
  return {images, channels, L / group, group};
}

// What is made of a block's values when they are read: scale·v + shift.
struct Scaled {
  V scale = all(1), shift = zero();
  DARTS_INLINE V operator()(V v) const { return fma(v, scale, shift); }
};

// max(x, 0) into a framed image, the rows from `begin` to `end`.
inline void frameReluRows(const float* x, int blocks, Size size, int begin, int end, float* framed) {
  for (int b = 0; b < blocks; b++)
    for (int y = begin; y < end; y++) {
      const float* from = x + b * size.block() + static_cast<size_t>(y) * size.width * L;
      float* to = framed + b * size.framedBlock() + size.framed(y, 0);
      for (int i = 0; i < size.width; i++) store(to + i * L, relu(load(from + i * L)));
    }
}

// The same with a normalisation before it: max(scale·x + shift, 0).
template <class T>
inline void frameNormRelu(const T* x, const float* scales, const float* shifts, int blocks, Size size, float* framed) {
  for (int b = 0; b < blocks; b++) {
    const V scale = load(scales + b * L), shift = load(shifts + b * L);
    for (int y = 0; y < size.height; y++) {
      const T* from = x + b * size.block() + static_cast<size_t>(y) * size.width * L;
      float* to = framed + b * size.framedBlock() + size.framed(y, 0);
      for (int i = 0; i < size.width; i++) store(to + i * L, relu(fma(load(from + i * L), scale, shift)));
    }
  }
}

DARTS_END
