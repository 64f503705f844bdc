// Batch normalisation without scale and shift: statistics from sums, running statistics, and backward as an affine map.
#pragma once

#include "placement.h"

DARTS_BEGIN

// Runs add(sums' channel, image's lane) for every image of the batch, in order.
template <class Add>
DARTS_INLINE void overChannels(const Cell& cell, int n, Add add) {
  const int width = cell.fold.together > 1 ? cell.fold.group : static_cast<int>(cell.channels);
  for (int i = 0; i < cell.fold.present(n); i++)
    for (int c = 0; c < width; c++) add(c, i * width + c);
}

// Images side by side share a channel's statistics: the first one's lanes are the others' too.
template <class T>
DARTS_INLINE void toAllGroups(const Cell& cell, T* lanes) {
  for (int l = cell.fold.group; l < L; l++) lanes[l] = lanes[l - cell.fold.group];
}

// Adds up one slot of the images' partial sums, in the images' order and in double: the same for any number of threads.
inline void total(const Cell& cell, int slot, double* sums) {
  for (size_t c = 0; c < cell.channels; c++) sums[c] = 0;
  for (int n = 0; n < cell.images; n++) {
    const float* partial = cell.partial(n, slot);
    overChannels(cell, n, [&](int c, int lane) { sums[c] += partial[lane]; });
  }
  toAllGroups(cell, sums);
}

// Mean and variance of the batch from each image's Σ(y - shift), Σ(y - shift)² and shift, in `slot` and the next two.
inline void moments(const Cell& cell, int slot, double* mean, double* variance) {
  const double pixels = cell.nodeSize.pixels(), count = cell.statisticsCount();
  for (size_t c = 0; c < cell.channels; c++) mean[c] = variance[c] = 0;
  for (int n = 0; n < cell.images; n++) {
    const float *sum = cell.partial(n, slot), *shift = cell.partial(n, slot + 2);
    overChannels(cell, n, [&](int c, int lane) { mean[c] += (sum[lane] + pixels * shift[lane]) / count; });
  }
  for (int n = 0; n < cell.images; n++) {
    const float *sum = cell.partial(n, slot), *square = cell.partial(n, slot + 1), *shift = cell.partial(n, slot + 2);
    overChannels(cell, n, [&](int c, int lane) {
      const double d = shift[lane] - mean[c];
      variance[c] += (square[lane] + 2 * d * sum[lane] + pixels * d * d) / count;
    });
  }
}

// Mean and 1/√(variance + ε) of the batch, from the sums in `slot` and the next two; in evaluation the
// running statistics'. In training these move by `momentum` towards the batch's (unbiased variance, as PyTorch has it).
inline void finishNorm(const Cell& cell, int slot, float* const* statistics, int index, float* mean, float* rstd) {
  const Plan& plan = *cell.plan;
  float *runningMean = statistics[index], *runningVariance = statistics[index + 1];
  const double count = cell.statisticsCount();
  double *batchMean = cell.sums, *batchVariance = cell.sums + cell.channels;
  if (plan.training) moments(cell, slot, batchMean, batchVariance);
  for (int c = 0; c < static_cast<int>(cell.channels); c++) {
    double m = 0, v = 0;
    if (c >= plan.channels) {
      // An unused lane: zeros in, zeros out.
    } else if (plan.training) {
      m = batchMean[c];
      v = batchVariance[c] > 0 ? batchVariance[c] : 0;
      runningMean[c] = static_cast<float>((1 - plan.momentum) * runningMean[c] + plan.momentum * m);
      runningVariance[c] = static_cast<float>((1 - plan.momentum) * runningVariance[c] + plan.momentum * v * count / (count - 1));
    } else {
      m = runningMean[c];
      v = runningVariance[c];
    }
    mean[c] = static_cast<float>(m);
    rstd[c] = static_cast<float>(1 / std::sqrt(v + plan.eps));
  }
  toAllGroups(cell, mean);
  toAllGroups(cell, rstd);
}

struct Affine { double a, b, k, weightGradient; };

// Backward of w·(y - mean)·rstd for one channel, from sumD = ΣD and centered = ΣD·(y - mean), D the gradient of the
// output: dy = a·D + b·y + k, and rstd·centered is the channel's part in the gradient of w.
DARTS_INLINE Affine normBackward(const Cell& cell, double sumD, double centered, double w, double mean, double rstd) {
  const double g = rstd * centered, a = w * rstd;
  if (!cell.plan->training) return {a, 0, 0, g};  // the statistics are constants
  const double count = cell.statisticsCount(), b = -a * rstd * g / count;
  return {a, b, -a * sumD / count - b * mean, g};
}

DARTS_END
