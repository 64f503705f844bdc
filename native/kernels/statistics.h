// Normalisations' parameters, and sums over the batch: of each image in float, then over the images, in their order, in
// double: the same bytes for any number of threads.
#pragma once

#include "layout.h"

DARTS_BEGIN

// A normalisation, scale·y + shift where scale = gamma/√(variance + ε); rstd = scale without gamma.
struct BatchNorm {
  float *mean, *rstd, *gamma, *beta, *scale, *shift;
};

DARTS_INLINE Scaled scaledBy(const BatchNorm& norm, int block) { return {load(norm.scale + block * L), load(norm.shift + block * L)}; }

// Sums of each image, [images][slots][lanes], and over the images, [slots][lanes].
struct Partials {
  Fold fold;
  Size size{};   // of the images that are summed
  int slots = 0;
  float* values = nullptr;
  double* totals = nullptr;

  size_t floats() const { return static_cast<size_t>(fold.count()) * slots * fold.lanes(); }
  double* total(int slot) const { return totals + slot * fold.lanes(); }
  float* at(int image, int slot) const { return values + (static_cast<size_t>(image) * slots + slot) * fold.lanes(); }
  // Values of a channel in the batch.
  double count() const { return static_cast<double>(fold.images) * size.pixels(); }
};

// Runs add(channel, lane) for what the n-th images side by side hold, in order.
template <class Add>
DARTS_INLINE void overChannels(const Fold& fold, int n, Add add) {
  const int width = fold.together > 1 ? fold.group : static_cast<int>(fold.lanes());
  for (int i = 0; i < fold.present(n); i++)
    for (int c = 0; c < width; c++) add(c, i * width + c);
}

// Images side by side share a channel's statistics: the first one's lanes are the others' too.
template <class T>
DARTS_INLINE void toAllGroups(const Fold& fold, T* lanes) {
  for (int l = fold.group; l < L; l++) lanes[l] = lanes[l - fold.group];
}

// Adds up one slot. With `factors`, [images][L], each image's sums count so many times.
inline void total(const Partials& partials, int slot, const float* factors) {
  const Fold& fold = partials.fold;
  double* sums = partials.total(slot);
  for (size_t c = 0; c < fold.lanes(); c++) sums[c] = 0;
  for (int n = 0; n < fold.count(); n++) {
    const float *partial = partials.at(n, slot), *factor = factors ? factors + static_cast<size_t>(n) * L : nullptr;
    overChannels(fold, n, [&](int c, int lane) { sums[c] += (factor ? static_cast<double>(factor[lane % L]) : 1) * partial[lane]; });
  }
  toAllGroups(fold, sums);
}

// Mean and variance of the batch, as totals of `slot` and the next, from each image's Σ(y - shift), Σ(y - shift)² and shift,
// in `slot` and the next two.
inline void moments(const Partials& partials, int slot) {
  const Fold& fold = partials.fold;
  double *mean = partials.total(slot), *variance = partials.total(slot + 1);
  const double pixels = partials.size.pixels(), count = partials.count();
  for (size_t c = 0; c < fold.lanes(); c++) mean[c] = variance[c] = 0;
  for (int n = 0; n < fold.count(); n++) {
    const float *sum = partials.at(n, slot), *shift = partials.at(n, slot + 2);
    overChannels(fold, n, [&](int c, int lane) { mean[c] += (sum[lane] + pixels * shift[lane]) / count; });
  }
  for (int n = 0; n < fold.count(); n++) {
    const float *sum = partials.at(n, slot), *square = partials.at(n, slot + 1), *shift = partials.at(n, slot + 2);
    overChannels(fold, n, [&](int c, int lane) {
      const double d = shift[lane] - mean[c];
      variance[c] += (square[lane] + 2 * d * sum[lane] + pixels * d * d) / count;
    });
  }
}

DARTS_END
