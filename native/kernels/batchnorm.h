// Batch normalisation: statistics from sums, running statistics, and backward as an affine map.
#pragma once

#include "placement.h"

DARTS_BEGIN

// Adds up one slot of the images' partial sums, in the images' order and in double: the same for any number of threads.
// With `factors` each image's sums count so many times.
inline void total(const Cell& cell, int slot, const float* factors, double* sums) {
  for (size_t c = 0; c < cell.channels; c++) sums[c] = 0;
  for (int n = 0; n < cell.plan->images; n++) {
    const float* partial = cell.partial(n, slot);
    const double factor = factors ? factors[n] : 1;
    for (size_t c = 0; c < cell.channels; c++) sums[c] += factor * partial[c];
  }
}

// Mean and variance of the batch from each image's Σ(y - shift), Σ(y - shift)² and shift, in `slot` and the next two.
inline void moments(const Cell& cell, int slot, double* mean, double* variance) {
  const double pixels = cell.nodeSize.pixels(), count = cell.statisticsCount();
  for (size_t c = 0; c < cell.channels; c++) mean[c] = variance[c] = 0;
  for (int n = 0; n < cell.plan->images; n++) {
    const float *sum = cell.partial(n, slot), *shift = cell.partial(n, slot + 2);
    for (size_t c = 0; c < cell.channels; c++) mean[c] += (sum[c] + pixels * shift[c]) / count;
  }
  for (int n = 0; n < cell.plan->images; n++) {
    const float *sum = cell.partial(n, slot), *square = cell.partial(n, slot + 1), *shift = cell.partial(n, slot + 2);
    for (size_t c = 0; c < cell.channels; c++) {
      const double d = shift[c] - mean[c];
      variance[c] += (square[c] + 2 * d * sum[c] + pixels * d * d) / count;
    }
  }
}

// Fills in a normalisation of an edge. In training its statistics are the batch's, from the sums in `slot` and the next
// two, and the running ones move by `momentum` towards them (unbiased variance, as PyTorch has it); in evaluation they
// are the running ones. Without a normalisation values pass as they are.
inline void finishNorm(const Cell& cell, const Edge& edge, int norm, int slot, const BatchNorm& to) {
  const Plan& plan = *cell.plan;
  const int statistics = edge.plan->norm[norm], scale = edge.plan->scale[norm];
  float* runningMean = statistics < 0 ? nullptr : cell.statistics[statistics];
  float* runningVariance = statistics < 0 ? nullptr : cell.statistics[statistics + 1];
  const double count = cell.statisticsCount();
  double *batchMean = cell.sums, *batchVariance = cell.sums + cell.channels;
  if (plan.training && runningMean) moments(cell, slot, batchMean, batchVariance);
  for (int c = 0; c < static_cast<int>(cell.channels); c++) {
    // An unused lane: zeros in, zeros out.
    const bool used = c < plan.channels;
    double mean = 0, rstd = used ? 1 : 0;
    if (used && runningMean) {
      double variance = runningVariance[c];
      mean = runningMean[c];
      if (plan.training) {
        mean = batchMean[c];
        variance = batchVariance[c] > 0 ? batchVariance[c] : 0;
        runningMean[c] = static_cast<float>((1 - plan.momentum) * runningMean[c] + plan.momentum * mean);
        runningVariance[c] = static_cast<float>((1 - plan.momentum) * runningVariance[c] + plan.momentum * variance * count / (count - 1));
      }
      rstd = 1 / std::sqrt(variance + plan.eps);
    }
    const double gamma = used && scale >= 0 ? cell.weights[scale][c] : 1;
    const double beta = used && scale >= 0 ? cell.weights[scale + 1][c] : 0;
    to.mean[c] = static_cast<float>(mean);
    to.rstd[c] = static_cast<float>(rstd);
    to.gamma[c] = static_cast<float>(gamma);
    to.beta[c] = static_cast<float>(beta);
    to.scale[c] = static_cast<float>(gamma * rstd);
    // From the rounded scale: where a value is the mean, what is left is the shift.
    to.shift[c] = static_cast<float>(beta - mean * to.scale[c]);
  }
}

struct Affine { double a, b, k; };

// Backward of w·(scale·y + shift) for one channel, from sumD = ΣD and centered = ΣD·(y - mean), D the gradient of the
// output: dy = a·D + b·y + k.
DARTS_INLINE Affine normBackward(const Cell& cell, const BatchNorm& norm, size_t channel, double sumD, double centered,
    double w) {
  const double mean = norm.mean[channel], rstd = norm.rstd[channel], a = w * norm.scale[channel];
  if (!cell.plan->training) return {a, 0, 0};  // the statistics are constants
  const double count = cell.statisticsCount(), b = -a * rstd * rstd * centered / count;
  return {a, b, -a * sumD / count - b * mean};
}

// The gradients of scale and shift, where there are any and they are wanted.
inline void affineGradients(const Cell& cell, const Edge& edge, int norm, const BatchNorm& values, const double* sumD,
    const double* centered, double w, float* const* gradients) {
  const int scale = edge.plan->scale[norm];
  if (scale < 0 || !cell.wantsWeights) return;
  for (int c = 0; c < cell.plan->channels; c++) {
    gradients[scale][c] = static_cast<float>(w * values.rstd[c] * centered[c]);
    gradients[scale + 1][c] = static_cast<float>(w * sumD[c]);
  }
}

DARTS_END
