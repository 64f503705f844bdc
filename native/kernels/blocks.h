// Images between libtorch's layouts and blocks: [N, parts·channels, H, W] ↔ [parts][N][blocks][H·W][L]. Every part is
// padded to whole blocks, so that the states a cell puts out need not be moved together.
#pragma once

#include "layout.h"
#include "threads.h"

DARTS_BEGIN

template <int... Index> struct Lanes {};
#if defined(__AVX512F__)
typedef Lanes<0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15> AllLanes;
#elif defined(__AVX2__)
typedef Lanes<0, 1, 2, 3, 4, 5, 6, 7> AllLanes;
#else
typedef Lanes<0, 1, 2, 3> AllLanes;
#endif

// Lanes of `a` and, from L on, of `b`.
template <int... From>
DARTS_INLINE V shuffle(V a, V b) {
#if defined(__clang__)
  return __builtin_shufflevector(a, b, From...);
#else
  return __builtin_shuffle(a, b, Mask{From...});
#endif
}

// Exchanges the off-diagonal squares of S × S in every square of 2S × 2S.
template <int S, int... I>
DARTS_INLINE void exchangeSquares(V* row, Lanes<I...>) {
  DARTS_UNROLL for (int i = 0; i < L; i++) {
    if (i & S) continue;
    const V a = row[i], b = row[i + S];
    row[i] = shuffle<((I & S) == 0 ? I : L + I - S)...>(a, b);
    row[i + S] = shuffle<((I & S) == 0 ? I + S : L + I)...>(a, b);
  }
}

// L × L numbers, in place.
DARTS_INLINE void transpose(V* row) {
  exchangeSquares<1>(row, AllLanes{});
  exchangeSquares<2>(row, AllLanes{});
  if constexpr (L > 4) exchangeSquares<4>(row, AllLanes{});
  if constexpr (L > 8) exchangeSquares<8>(row, AllLanes{});
}

// One block of channels of one image whose channels are planes; `lanes` of the block are there.
inline void planesToBlock(const float* from, int64_t channel, int lanes, int pixels, float* to) {
  int p = 0;
  for (; p + L <= pixels; p += L) {
    V row[L];
    DARTS_UNROLL for (int l = 0; l < L; l++) row[l] = l < lanes ? loadAnywhere(from + l * channel + p) : zero();
    transpose(row);
    DARTS_UNROLL for (int i = 0; i < L; i++) store(to + (p + i) * L, row[i]);
  }
  for (; p < pixels; p++)
    for (int l = 0; l < L; l++) to[p * L + l] = l < lanes ? from[l * channel + p] : 0;
}

inline void blockToPlanes(const float* from, int64_t channel, int lanes, int pixels, float* to) {
  int p = 0;
  for (; p + L <= pixels; p += L) {
    V row[L];
    DARTS_UNROLL for (int i = 0; i < L; i++) row[i] = load(from + (p + i) * L);
    transpose(row);
    DARTS_UNROLL for (int l = 0; l < L; l++) if (l < lanes) storeAnywhere(to + l * channel + p, row[l]);
  }
  for (; p < pixels; p++)
    for (int l = 0; l < lanes; l++) to[l * channel + p] = from[p * L + l];
}

// Pixels whose channels lie side by side, in the order of the addresses: a register may reach beyond its own lanes, into
// what is masked off (reading) or comes next (writing), except at the end of the image.
template <bool ToBlocks>
inline void convertPixels(const Conversion& call, int image) {
  const int blocks = (call.channels + L - 1) / L, all = call.parts * call.channels;
  const Mask last = firstLanes(call.channels - (blocks - 1) * L);
  const size_t block = static_cast<size_t>(call.pixels) * L;
  const int64_t end = static_cast<int64_t>(call.pixels) * all;
  float* const pixels = call.images.data + image * call.images.image;
  for (int p = 0; p < call.pixels; p++) {
    for (int part = 0; part < call.parts; part++) {
      float* blocked = call.blocks + (static_cast<size_t>(part) * call.count + image) * blocks * block + static_cast<size_t>(p) * L;
      for (int b = 0; b < blocks; b++, blocked += block) {
        const int64_t at = static_cast<int64_t>(p) * all + part * call.channels + b * L;
        if (at + L <= end) {
          if constexpr (ToBlocks) {
            const V v = loadAnywhere(pixels + at);
            store(blocked, b == blocks - 1 ? keepWhere(last, v) : v);
          } else {
            storeAnywhere(pixels + at, load(blocked));
          }
          continue;
        }
        const int lanes = least(L, call.channels - b * L);
        for (int l = 0; l < L; l++) {
          if constexpr (ToBlocks) blocked[l] = l < lanes ? pixels[at + l] : 0;
          else if (l < lanes) pixels[at + l] = blocked[l];
        }
      }
    }
  }
}

template <bool ToBlocks>
inline void convertPlanes(const Conversion& call, int image) {
  const int blocks = (call.channels + L - 1) / L;
  const size_t block = static_cast<size_t>(call.pixels) * L;
  for (int part = 0; part < call.parts; part++) {
    for (int b = 0; b < blocks; b++) {
      float* planes = call.images.data + image * call.images.image + (part * call.channels + b * L) * call.images.channel;
      float* blocked = call.blocks + ((static_cast<size_t>(part) * call.count + image) * blocks + b) * block;
      const int lanes = least(L, call.channels - b * L);
      if constexpr (ToBlocks) planesToBlock(planes, call.images.channel, lanes, call.pixels, blocked);
      else blockToPlanes(blocked, call.images.channel, lanes, call.pixels, planes);
    }
  }
}

template <bool ToBlocks>
inline void convert(const Conversion& call) {
  parallel(call.count, call.threads, [](void* raw, int image, int) {
    const Conversion& it = *static_cast<const Conversion*>(raw);
    if (it.images.channel == 1) convertPixels<ToBlocks>(it, image);
    else convertPlanes<ToBlocks>(it, image);
  }, const_cast<Conversion*>(&call));
}

DARTS_END
