// The batch normalisations of a cell: their parameters in forward, the gradients of these.
#pragma once

#include "context.h"

DARTS_BEGIN

// Fills in a normalisation of the cell.
inline void finishNorm(const Cell& cell, NormPlan norm, const Partials& partials, int slot, const BatchNorm& to) {
  const Plan& plan = *cell.plan;
  NormTensors tensors{};
  if (norm.scale >= 0) {
    tensors.gamma = cell.weights[norm.scale];
    tensors.beta = cell.weights[norm.scale + 1];
  }
  if (norm.statistics >= 0) {
    tensors.runningMean = cell.statistics[norm.statistics];
    tensors.runningVariance = cell.statistics[norm.statistics + 1];
  }
  finishNorm({plan.training, plan.eps, plan.momentum}, tensors, partials, slot, to);
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

// Values of a channel that a normalisation's gradient is spread over: none where the statistics are constants.
inline double spread(const Cell& cell, const Partials& partials) { return cell.plan->training ? partials.count() : 0; }

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
