// Batch normalisation: its parameters in forward, and backward as an affine map.
#pragma once

#include "context.h"

DARTS_BEGIN

// Fills in a normalisation. In training its statistics are the batch's, from the sums in `slot` and the next two, and the
// running ones move by `momentum` towards them (unbiased variance, as PyTorch has it); in evaluation they are the running
// ones. Without a normalisation values pass as they are.
inline void finishNorm(const Cell& cell, NormPlan norm, const Partials& partials, int slot, const BatchNorm& to) {
  const Plan& plan = *cell.plan;
  const Fold& fold = partials.fold;
  float* runningMean = norm.statistics < 0 ? nullptr : cell.statistics[norm.statistics];
  float* runningVariance = norm.statistics < 0 ? nullptr : cell.statistics[norm.statistics + 1];
  const double count = partials.count();
  const double *batchMean = partials.total(slot), *batchVariance = partials.total(slot + 1);
  if (plan.training && runningMean) moments(partials, slot);
  for (int c = 0; c < static_cast<int>(fold.lanes()); c++) {
    // An unused lane: zeros in, zeros out.
    const bool used = c < fold.channels;
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
    const double gamma = used && norm.scale >= 0 ? cell.weights[norm.scale][c] : 1;
    const double beta = used && norm.scale >= 0 ? cell.weights[norm.scale + 1][c] : 0;
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

// A normalisation to be filled in.
struct Unfinished {
  NormPlan plan;
  int slot;
  const BatchNorm* to;
};

// Fills in all of a list. One takes microseconds; one after another they would keep the other threads waiting until these sleep.
inline void finishNorms(const Cell& cell, const Partials& partials, const Unfinished* list, int count) {
  overItems(cell, count, [&](int i) { finishNorm(cell, list[i].plan, partials, list[i].slot, *list[i].to); });
}

// A slot to be added up; `factors` as for total().
struct Unsummed {
  int slot;
  const float* factors;
};

inline void totals(const Cell& cell, const Unsummed* list, int count) {
  overItems(cell, count, [&](int i) { total(cell.partials, list[i].slot, list[i].factors); });
}

struct Affine { double a, b, k; };

// Backward of w·(scale·y + shift) for one channel, from sumD = ΣD and centered = ΣD·(y - mean), D the gradient of the
// output: dy = a·D + b·(y - mean) + k. Centred, because b·y alone would swallow dy where the mean is much larger than the
// deviation.
DARTS_INLINE Affine normBackward(const Cell& cell, const BatchNorm& norm, size_t channel, double sumD, double centered,
    double w) {
  const double rstd = norm.rstd[channel], a = w * norm.scale[channel];
  if (!cell.plan->training) return {a, 0, 0};  // the statistics are constants
  const double count = cell.partials.count(), b = -a * rstd * rstd * centered / count;
  return {a, b, -a * sumD / count};
}

// The gradients of scale and shift, where there are any and they are wanted.
inline void affineGradients(const Cell& cell, NormPlan norm, const BatchNorm& values, const double* sumD,
    const double* centered, double w, float* const* gradients) {
  if (norm.scale < 0 || !cell.wantsWeights) return;
  for (int c = 0; c < cell.plan->channels; c++) {
    gradients[norm.scale][c] = static_cast<float>(w * values.rstd[c] * centered[c]);
    gradients[norm.scale + 1][c] = static_cast<float>(w * sumD[c]);
  }
}

DARTS_END
