// Normalisations, and sums over the batch: of each image in float, then over the images, in their order, in double: the
// same bytes for any number of threads.
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

// How a normalisation is made. In training its statistics are the batch's, in evaluation the running ones.
struct NormRule {
  bool training;
  double eps, momentum;
};

// What belongs to a normalisation; null: it has none of that kind.
struct NormTensors {
  const float *gamma, *beta;
  float *runningMean, *runningVariance;
};

// Fills in a normalisation, in training from the sums in `slot` and the next two; the running statistics then move by
// `momentum` towards the batch's (unbiased variance, as PyTorch has it). Without statistics values pass as they are.
inline void finishNorm(const NormRule& rule, const NormTensors& of, const Partials& partials, int slot, const BatchNorm& to) {
  const Fold& fold = partials.fold;
  const double count = partials.count();
  const double *batchMean = partials.total(slot), *batchVariance = partials.total(slot + 1);
  if (rule.training && of.runningMean) moments(partials, slot);
  for (int c = 0; c < static_cast<int>(fold.lanes()); c++) {
    // An unused lane: zeros in, zeros out.
    const bool used = c < fold.channels;
    double mean = 0, rstd = used ? 1 : 0;
    if (used && of.runningMean) {
      double variance = of.runningVariance[c];
      mean = of.runningMean[c];
      if (rule.training) {
        mean = batchMean[c];
        variance = batchVariance[c] > 0 ? batchVariance[c] : 0;
        of.runningMean[c] = static_cast<float>((1 - rule.momentum) * of.runningMean[c] + rule.momentum * mean);
        of.runningVariance[c] = static_cast<float>((1 - rule.momentum) * of.runningVariance[c] + rule.momentum * variance * count / (count - 1));
      }
      rstd = 1 / std::sqrt(variance + rule.eps);
    }
    const double gamma = used && of.gamma ? of.gamma[c] : 1, beta = used && of.beta ? of.beta[c] : 0;
    to.mean[c] = static_cast<float>(mean);
    to.rstd[c] = static_cast<float>(rstd);
    to.gamma[c] = static_cast<float>(gamma);
    to.beta[c] = static_cast<float>(beta);
    to.scale[c] = static_cast<float>(gamma * rstd);
    // From the rounded scale: where a value is the mean, what is left is the shift.
    to.shift[c] = static_cast<float>(beta - mean * to.scale[c]);
  }
  float* const all[] = {to.mean, to.rstd, to.gamma, to.beta, to.scale, to.shift};
  for (float* values : all) toAllGroups(fold, values);
}

struct Affine { double a, b, k; };

// That of each channel.
struct Affines {
  float *a, *b, *k;
  void set(size_t channel, const Affine& affine) const {
    a[channel] = static_cast<float>(affine.a);
    b[channel] = static_cast<float>(affine.b);
    k[channel] = static_cast<float>(affine.k);
  }
};

// Backward of w·(scale·y + shift) for one channel, from sumD = ΣD and centered = ΣD·(y - mean), D the gradient of the
// output: dy = a·D + b·(y - mean) + k. Centred, because b·y alone would swallow dy where the mean is much larger than the
// deviation. `count`: values of the channel; 0 where the statistics are constants.
DARTS_INLINE Affine normBackward(const BatchNorm& norm, size_t channel, double sumD, double centered, double w, double count) {
  const double rstd = norm.rstd[channel], a = w * norm.scale[channel];
  if (count == 0) return {a, 0, 0};
  return {a, -a * rstd * rstd * centered / count, -a * sumD / count};
}

DARTS_END
