// The stem: a 3×3 convolution of images, a few planes of pixels, and its normalisation, into blocks. To multiply again
// costs less than to store and read a product, so the product lies nowhere. Phases over the images:
//   forward   the product's sums for the statistics, in training; then the product, normalised
//   backward  the sums ΣD, ΣD·(y - mean) of the output's gradient D and the product y; then the weights' gradients
#pragma once

#include "convolution.h"
#include "matrix.h"

DARTS_BEGIN

constexpr int kStemTaps = 9;

struct Stem : Affines {      // backward: of the product's gradient
  const StemCall* call;
  Fold fold;
  Size size;
  int threads, chunks;
  int rowsTogether;          // backward: rows of an image whose gradient is made at once
  Matrix matrix;             // a row for each tap of each plane, into framed planes
  float* weights;            // [blocks][taps of all planes][L]
  BatchNorm norm;
  Partials partials;
  float* planes[kMaxThreads];  // an image with a frame of zeros
  float* dy[kMaxThreads];    // backward: [blocks][rows][W][L]
  float* gradients;          // [chunks][blocks][taps][L]

  int planeWidth() const { return size.width + 2; }
  int planeFloats() const { return planeWidth() * (size.height + 2); }
  int taps() const { return kStemTaps * call->inChannels; }
  size_t gradientFloats() const { return static_cast<size_t>(matrix.blocks) * taps() * L; }
  size_t tileFloats() const { return static_cast<size_t>(rowsTogether) * size.width * L; }
  // Pixel x of row y in block b of an image.
  size_t at(int n, int b, int y, int x) const {
    return n * fold.imageFloats(size) + b * size.block() + (static_cast<size_t>(y) * size.width + x) * L;
  }
};

inline Stem stemOf(const StemCall& call) {
  Stem stem{};
  stem.call = &call;
  stem.fold = unfolded(call.images, call.channels);
  stem.size = {call.height, call.width};
  stem.threads = least(least(call.threads, call.images), kMaxThreads);
  stem.chunks = chunksOf(call.images);
  stem.rowsTogether = least(call.height, most(1, 128 / call.width));
  stem.matrix.rows = stem.taps();
  stem.matrix.blocks = stem.fold.blocks();
  stem.partials = {stem.fold, stem.size, 3};
  return stem;
}

inline void placeStem(Stem& stem, Supply& supply, bool backward) {
  placeMatrix(supply, stem.matrix, stem.matrix.rows, stem.matrix.blocks);
  stem.weights = supply.take(stem.gradientFloats());
  placeNorm(supply, stem.norm, stem.fold.lanes());
  placePartials(supply, stem.partials);
  for (int t = 0; t < stem.threads; t++) {
    stem.planes[t] = supply.take(static_cast<size_t>(stem.call->inChannels) * stem.planeFloats());
    if (backward) stem.dy[t] = supply.take(stem.matrix.blocks * stem.tileFloats());
  }
  if (!backward) return;
  supply.takeEach(stem.fold.lanes(), stem.a, stem.b, stem.k);
  stem.gradients = supply.take(stem.chunks * stem.gradientFloats());
}

inline size_t stemFloats(const StemCall& call, bool backward) {
  Supply supply{nullptr};
  Stem stem = stemOf(call);
  placeStem(stem, supply, backward);
  return supply.used;
}

inline Stem beginStem(const StemCall& call, bool backward) {
  Supply supply{call.scratch};
  Stem stem = stemOf(call);
  placeStem(stem, supply, backward);
  const Matrix& m = stem.matrix;
  for (int r = 0; r < m.rows; r++) {
    const int tap = r % kStemTaps;
    m.offset[r] = r / kStemTaps * stem.planeFloats() + tap / 3 * stem.planeWidth() + tap % 3;
  }
  std::memset(stem.weights, 0, stem.gradientFloats() * sizeof(float));
  for (int b = 0; b < m.blocks; b++) {
    m.begin[b] = 0;
    m.end[b] = m.rows;
    for (int o = b * L; o < least(call.channels, (b + 1) * L); o++)
      for (int r = 0; r < m.rows; r++)
        stem.weights[(static_cast<size_t>(b) * m.rows + r) * L + o % L] = call.weight[static_cast<size_t>(o) * m.rows + r];
  }
  for (int t = 0; t < stem.threads; t++) std::memset(stem.planes[t], 0, sizeof(float) * call.inChannels * stem.planeFloats());
  return stem;
}

// An image into the frame of zeros.
inline void framePlanes(const Stem& stem, int n, float* planes) {
  const auto [height, width] = stem.size;
  for (int c = 0; c < stem.call->inChannels; c++)
    for (int y = 0; y < height; y++)
      std::memcpy(planes + c * stem.planeFloats() + (y + 1) * stem.planeWidth() + 1,
          stem.call->input + ((static_cast<size_t>(n) * stem.call->inChannels + c) * height + y) * width, sizeof(float) * width);
}

// The product of a row of pixels; emit(block, first pixel, Count<P>, values) takes it.
template <class Emit>
DARTS_INLINE void stemRow(const Stem& stem, const float* planes, int y, Emit emit) {
  product<1>(stem.matrix, stem.weights, planes + y * stem.planeWidth(), stem.size.width, emit);
}

// Runs body(image, its planes) for all images.
template <class Body>
inline void overPlanes(const Stem& stem, Body body) {
  inParallel(stem.call->images, stem.threads, [&](int n, int thread) {
    framePlanes(stem, n, stem.planes[thread]);
    body(n, stem.planes[thread]);
  });
}

inline void stemForward(const StemCall& call) {
  const Stem stem = beginStem(call, false);
  if (call.training) overPlanes(stem, [&](int n, const float* planes) {
    float* sums = stem.partials.at(n, 0);
    std::memset(sums, 0, 3 * stem.fold.lanes() * sizeof(float));
    for (int y = 0; y < stem.size.height; y++)
      stemRow(stem, planes, y, [&](int block, int p, auto count, const V* values) DARTS_LAMBDA {
        addStatistics<decltype(count)::value>(values, sums, stem.fold.lanes(), block, y == 0 && p == 0);
      });
  });
  finishNorm({call.training, call.eps, call.momentum}, {call.scale, call.shift, call.runningMean, call.runningVariance}, stem.partials,
      0, stem.norm);
  std::memcpy(call.norms, stem.norm.mean, stem.fold.lanes() * sizeof(float));
  std::memcpy(call.norms + stem.fold.lanes(), stem.norm.rstd, stem.fold.lanes() * sizeof(float));
  overPlanes(stem, [&](int n, const float* planes) {
    for (int y = 0; y < stem.size.height; y++)
      stemRow(stem, planes, y, [&](int block, int p, auto count, const V* values) DARTS_LAMBDA {
        const Scaled scaled = scaledBy(stem.norm, block);
        float* to = call.output + stem.at(n, block, y, p);
        DARTS_UNROLL for (int j = 0; j < decltype(count)::value; j++) stream(to + j * L, scaled(values[j]));
      });
  });
}

// ΣD and ΣD·(y - mean) of one image, in the first two slots.
inline void stemSums(const Stem& stem, int n, const float* planes) {
  const size_t lanes = stem.fold.lanes();
  float* sums = stem.partials.at(n, 0);
  std::memset(sums, 0, 2 * lanes * sizeof(float));
  for (int y = 0; y < stem.size.height; y++)
    stemRow(stem, planes, y, [&](int block, int p, auto count, const V* values) DARTS_LAMBDA {
      const float* gradient = stem.call->outputGradient + stem.at(n, block, y, p);
      const V mean = load(stem.norm.mean + block * L);
      V sum = load(sums + block * L), centered = load(sums + lanes + block * L);
      DARTS_UNROLL for (int j = 0; j < decltype(count)::value; j++) {
        const V d = load(gradient + j * L);
        sum += d;
        centered = fma(d, values[j] - mean, centered);
      }
      store(sums + block * L, sum);
      store(sums + lanes + block * L, centered);
    });
}

// From these sums: how the product's gradient depends on D and y, and the gradients of scale and shift.
inline void stemNormBackward(const Stem& stem) {
  const StemCall& call = *stem.call;
  for (int slot = 0; slot < 2; slot++) total(stem.partials, slot, nullptr);
  const double *sumD = stem.partials.total(0), *centered = stem.partials.total(1);
  const double count = call.training ? stem.partials.count() : 0;
  for (size_t c = 0; c < stem.fold.lanes(); c++) stem.set(c, normBackward(stem.norm, c, sumD[c], centered[c], 1, count));
  for (int c = 0; c < call.channels && call.scaleGradient; c++) {
    call.scaleGradient[c] = static_cast<float>(centered[c] * stem.norm.rstd[c]);
    call.shiftGradient[c] = static_cast<float>(sumD[c]);
  }
}

// Adds to the gradients of one plane's taps, for B blocks of outputs, what `rows` rows of pixels give.
template <int B>
DARTS_INLINE void tapGradients(const Stem& stem, const float* __restrict plane, const float* __restrict dy, int rows,
    float* __restrict g) {
  const size_t next = static_cast<size_t>(stem.taps()) * L, tile = stem.tileFloats();
  V sum[B][kStemTaps];
  DARTS_UNROLL for (int o = 0; o < B; o++) { DARTS_UNROLL for (int t = 0; t < kStemTaps; t++) sum[o][t] = load(g + o * next + t * L); }
  for (int y = 0; y < rows; y++) {
    const float *x = plane + y * stem.planeWidth(), *d = dy + static_cast<size_t>(y) * stem.size.width * L;
    for (int i = 0; i < stem.size.width; i++) {
      V gradient[B];
      DARTS_UNROLL for (int o = 0; o < B; o++) gradient[o] = load(d + o * tile + i * L);
      DARTS_UNROLL for (int t = 0; t < kStemTaps; t++) {
        const V value = all(x[t / 3 * stem.planeWidth() + t % 3 + i]);
        DARTS_UNROLL for (int o = 0; o < B; o++) sum[o][t] = fma(value, gradient[o], sum[o][t]);
      }
    }
  }
  DARTS_UNROLL for (int o = 0; o < B; o++) { DARTS_UNROLL for (int t = 0; t < kStemTaps; t++) store(g + o * next + t * L, sum[o][t]); }
}

// What one image adds to the gradients g of all weights.
inline void stemWeights(const Stem& stem, int n, const float* planes, float* dy, float* g) {
  constexpr int kBlocks = kRegisters == 32 ? 2 : 1;
  const size_t tile = stem.tileFloats();
  for (int y0 = 0; y0 < stem.size.height; y0 += stem.rowsTogether) {
    const int rows = least(stem.rowsTogether, stem.size.height - y0);
    for (int y = y0; y < y0 + rows; y++)
      stemRow(stem, planes, y, [&](int block, int p, auto count, const V* values) DARTS_LAMBDA {
        const float* gradient = stem.call->outputGradient + stem.at(n, block, y, p);
        const V a = load(stem.a + block * L), b = load(stem.b + block * L), k = load(stem.k + block * L),
            mean = load(stem.norm.mean + block * L);
        float* to = dy + block * tile + (static_cast<size_t>(y - y0) * stem.size.width + p) * L;
        DARTS_UNROLL for (int j = 0; j < decltype(count)::value; j++)
          store(to + j * L, fma(load(gradient + j * L), a, fma(values[j] - mean, b, k)));
      });
    for (int c = 0; c < stem.call->inChannels; c++) {
      const float* plane = planes + c * stem.planeFloats() + y0 * stem.planeWidth();
      int block = 0;
      const auto add = [&](auto blocks) DARTS_LAMBDA {
        constexpr int B = decltype(blocks)::value;
        float* to = g + (static_cast<size_t>(block) * stem.taps() + c * kStemTaps) * L;
        for (; block + B <= stem.matrix.blocks; block += B, to += static_cast<size_t>(B) * stem.taps() * L)
          tapGradients<B>(stem, plane, dy + block * tile, rows, to);
      };
      add(Count<kBlocks>{});
      if (block < stem.matrix.blocks) add(Count<1>{});
    }
  }
}

inline void stemBackward(const StemCall& call) {
  const Stem stem = beginStem(call, true);
  const size_t lanes = stem.fold.lanes();
  for (size_t c = 0; c < lanes; c++) {
    const bool used = c < static_cast<size_t>(call.channels);
    stem.norm.mean[c] = call.norms[c];
    stem.norm.rstd[c] = call.norms[lanes + c];
    stem.norm.scale[c] = (used && call.scale ? call.scale[c] : 1) * stem.norm.rstd[c];
  }
  overPlanes(stem, [&](int n, const float* planes) { stemSums(stem, n, planes); });
  stemNormBackward(stem);
  const size_t floats = stem.gradientFloats();
  inParallel(stem.chunks, stem.threads, [&](int chunk, int thread) {
    float* g = stem.gradients + chunk * floats;
    std::memset(g, 0, floats * sizeof(float));
    overChunk(call.images, chunk, stem.chunks, [&](int n) {
      framePlanes(stem, n, stem.planes[thread]);
      stemWeights(stem, n, stem.planes[thread], stem.dy[thread], g);
    });
  });
  const int taps = stem.taps();
  for (int o = 0; o < call.channels; o++)
    for (int r = 0; r < taps; r++) {
      float sum = 0;
      for (int chunk = 0; chunk < stem.chunks; chunk++)
        sum += stem.gradients[chunk * floats + (static_cast<size_t>(o / L) * taps + r) * L + o % L];
      call.weightGradient[static_cast<size_t>(o) * taps + r] = sum;
    }
}

DARTS_END
