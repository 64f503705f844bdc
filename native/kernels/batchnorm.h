// Batch normalisation without scale and shift: statistics from sums, running statistics, and backward as an affine map.
#pragma once

#include "placement.h"

DARTS_BEGIN

// Adds up one slot of the images' partial sums, in the images' order and in double: the same for any number of threads.
inline void total(const Cell& cell, int slot, double* sums) {
  for (size_t c = 0; c < cell.channels; c++) sums[c] = 0;
  for (int n = 0; n < cell.plan->images; n++) {
    const float* partial = cell.partial(n, slot);
    for (size_t c = 0; c < cell.channels; c++) sums[c] += partial[c];
  }
}

// Mean and 1/√(variance + ε) from the sums in `slot` and the sums of squares in the next one; in evaluation the
// running statistics'. In training these move by `momentum` towards the batch's (unbiased variance, as PyTorch has it).
inline void finishNorm(const Cell& cell, int slot, float* const* statistics, int index, float* mean, float* rstd) {
  const Plan& plan = *cell.plan;
  float *runningMean = statistics[index], *runningVariance = statistics[index + 1];
  const double count = cell.statisticsCount();
  double *sum = cell.sums, *square = cell.sums + cell.channels;
  if (plan.training) {
    total(cell, slot, sum);
    total(cell, slot + 1, square);
  }
  for (int c = 0; c < static_cast<int>(cell.channels); c++) {
    double m = 0, v = 0;
    if (c >= plan.channels) {
      // An unused lane: zeros in, zeros out.
    } else if (plan.training) {
      m = sum[c] / count;
      v = square[c] / count - m * m;
      if (v < 0) v = 0;
      runningMean[c] = static_cast<float>((1 - plan.momentum) * runningMean[c] + plan.momentum * m);
      runningVariance[c] = static_cast<float>((1 - plan.momentum) * runningVariance[c] + plan.momentum * v * count / (count - 1));
    } else {
      m = runningMean[c];
      v = runningVariance[c];
    }
    mean[c] = static_cast<float>(m);
    rstd[c] = static_cast<float>(1 / std::sqrt(v + plan.eps));
  }
}

struct Affine { double a, b, k, weightGradient; };

// Backward of w·(y - mean)·rstd for one channel, from sumD = ΣD and sumDy = ΣD·y (D: gradient of the output):
// dy = a·D + b·y + k, and ΣD·(y - mean)·rstd is the channel's part in the gradient of w.
DARTS_INLINE Affine normBackward(const Cell& cell, double sumD, double sumDy, double w, double mean, double rstd) {
  const double g = rstd * (sumDy - mean * sumD), a = w * rstd;
  if (!cell.plan->training) return {a, 0, 0, g};  // the statistics are constants
  const double count = cell.statisticsCount(), b = -a * rstd * g / count;
  return {a, b, -a * sumD / count - b * mean, g};
}

DARTS_END
