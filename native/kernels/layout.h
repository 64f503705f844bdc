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
  int images;    // of the batch
  int together;  // that lie side by side
  int group;     // lanes of one image in a block: all, or its channels

  int count() const { return (images + together - 1) / together; }
  // Images side by side in the n-th: the last one may not be full, and nothing may count what its other lanes hold.
  int present(int n) const { return least(together, images - n * together); }
  int lanes(int n) const { return present(n) * group; }
};

inline Fold foldOf(int images, int channels) {
  const int group = channels < L && L % channels == 0 ? channels : L;
  return {images, L / group, group};
}

// `lanes` channels of one image between libtorch's layout, at `image`, and their lanes of a block.
template <class Copy>
DARTS_INLINE void overLanes(float* image, const Images& layout, int lanes, int pixels, float* block, Copy copy) {
  if (layout.channel == 1) {
    for (int p = 0; p < pixels; p++)
      for (int l = 0; l < lanes; l++) copy(image[p * layout.pixel + l], block[p * L + l]);
  } else {
    // Sixteen pixels of every channel at a time, so that the lines of the block stay in the first cache.
    for (int p0 = 0; p0 < pixels; p0 += 16)
      for (int l = 0; l < lanes; l++)
        for (int p = p0; p < least(p0 + 16, pixels); p++) copy(image[l * layout.channel + p * layout.pixel], block[p * L + l]);
  }
}

// Image n (as many as lie side by side) from libtorch's layout into blocks.
inline void toBlocks(const Images& from, const Fold& fold, int n, int channels, int firstChannel, Size size, float* to) {
  for (int c0 = 0; c0 < channels; c0 += L, to += size.block()) {
    const int lanes = least(fold.group, channels - c0);
    if (lanes * fold.present(n) < L) std::memset(to, 0, size.block() * sizeof(float));
    for (int i = 0; i < fold.present(n); i++)
      overLanes(from.data + (n * fold.together + i) * from.image + (firstChannel + c0) * from.channel, from, lanes,
          size.pixels(), to + i * fold.group, [](float& outside, float& inside) DARTS_LAMBDA { inside = outside; });
  }
}

// The way back.
inline void fromBlocks(float* from, const Fold& fold, const Images& to, int n, int channels, int firstChannel, Size size) {
  for (int c0 = 0; c0 < channels; c0 += L, from += size.block())
    for (int i = 0; i < fold.present(n); i++)
      overLanes(to.data + (n * fold.together + i) * to.image + (firstChannel + c0) * to.channel, to,
          least(fold.group, channels - c0), size.pixels(), from + i * fold.group,
          [](float& outside, float& inside) DARTS_LAMBDA { outside = inside; });
}

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
