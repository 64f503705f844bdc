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

// One image from libtorch's layout into blocks. Channels-last pixels are copied register by register.
inline void toBlocks(const Images& from, int image, int channels, int firstChannel, Size size, float* to) {
  for (int c0 = 0; c0 < channels; c0 += L, to += size.block()) {
    const int lanes = least(L, channels - c0);
    const float* source = from.data + image * from.image + (firstChannel + c0) * from.channel;
    if (lanes < L) std::memset(to, 0, size.block() * sizeof(float));
    if (from.channel == 1) {
      for (int p = 0; p < size.pixels(); p++)
        for (int l = 0; l < lanes; l++) to[p * L + l] = source[p * from.pixel + l];
    } else {
      // Sixteen pixels of every channel at a time, so that the lines written to stay in the first cache.
      for (int p0 = 0; p0 < size.pixels(); p0 += 16)
        for (int l = 0; l < lanes; l++)
          for (int p = p0; p < least(p0 + 16,
              size.pixels()); p++) to[p * L + l] = source[l * from.channel + p * from.pixel];
    }
  }
}

// The way back.
inline void fromBlocks(const float* from, const Images& to, int image, int channels, int firstChannel, Size size) {
  for (int c0 = 0; c0 < channels; c0 += L, from += size.block()) {
    const int lanes = least(L, channels - c0);
    float* target = to.data + image * to.image + (firstChannel + c0) * to.channel;
    if (to.channel == 1) {
      for (int p = 0; p < size.pixels(); p++)
        for (int l = 0; l < lanes; l++) target[p * to.pixel + l] = from[p * L + l];
    } else {
      for (int p0 = 0; p0 < size.pixels(); p0 += 16)
        for (int l = 0; l < lanes; l++)
          for (int p = p0; p < least(p0 + 16,
              size.pixels()); p++) target[l * to.channel + p * to.pixel] = from[p * L + l];
    }
  }
}

// max(x, 0) into a framed image; with a normalisation before it: max(scale·x + shift, 0).
inline void frameRelu(const float* x, int blocks, Size size, float* framed) {
  for (int b = 0; b < blocks; b++)
    for (int y = 0; y < size.height; y++) {
      const float* from = x + b * size.block() + static_cast<size_t>(y) * size.width * L;
      float* to = framed + b * size.framedBlock() + size.framed(y, 0);
      for (int i = 0; i < size.width; i++) store(to + i * L, relu(load(from + i * L)));
    }
}

inline void frameNormRelu(const float* x, const float* scales, const float* shifts, int blocks, Size size, float* framed) {
  for (int b = 0; b < blocks; b++) {
    const V scale = load(scales + b * L), shift = load(shifts + b * L);
    for (int y = 0; y < size.height; y++) {
      const float* from = x + b * size.block() + static_cast<size_t>(y) * size.width * L;
      float* to = framed + b * size.framedBlock() + size.framed(y, 0);
      for (int i = 0; i < size.width; i++) store(to + i * L, relu(fma(load(from + i * L), scale, shift)));
    }
  }
}

DARTS_END
