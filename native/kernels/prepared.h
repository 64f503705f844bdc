// What inference makes of a cell's weights and running statistics, kept for the next call with the same ones.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

namespace darts::kernels {

// What packed weights depend on: these tensors as they are now, and how the plan reads them.
struct PreparedFor {
  at::TensorList weights, statistics;
  const std::vector<int64_t>& numbers;
};

// What was kept for the very same; undefined where nothing was. A tensor that changed in place since is not the same: its
// version tells.
at::Tensor findPrepared(const PreparedFor& what);

// Keeps `memory` for the next calls, in place of what was kept for the same first tensor. Frees what is kept for tensors
// that are no more.
void keepPrepared(const PreparedFor& what, at::Tensor memory);

// Frees all that is kept.
void releasePrepared();

}  // namespace darts::kernels
