// What inference makes of a cell's weights and running statistics, kept for the next call with the same ones.
#pragma once

#include "cell.h"

#include <ATen/core/Tensor.h>

#include <memory>
#include <vector>

namespace darts::kernels {

// A checked plan, its packed weights and folded normalisations, and the floats that a call needs besides.
struct Prepared {
  Plan plan;
  at::Tensor parameters;
  size_t arena, scratch;
};

// What that depends on: these tensors as they are now, and all numbers and shapes of the call.
struct PreparedFor {
  at::TensorList weights, statistics;
  const std::vector<int64_t>& numbers;
};

// What was kept for the very same, or null. A tensor that changed in place since is not the same: its version tells.
std::shared_ptr<const Prepared> findPrepared(const PreparedFor& what);

// Keeps `made` for the next calls, in place of what was kept for the same first tensor. Frees what is kept for tensors
// that are no more.
void keepPrepared(const PreparedFor& what, std::shared_ptr<const Prepared> made);

// Frees all that is kept.
void releasePrepared();

}  // namespace darts::kernels
