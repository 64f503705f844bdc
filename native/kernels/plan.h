// From the operator's arguments to a checked plan of a cell.
#pragma once

#include "cell.h"

#include <ATen/core/Tensor.h>

#include <vector>

namespace darts::kernels {

// What darts::cell is called with; see its schema in operator.cc.
struct CellArguments {
  at::Tensor s0, s1, mixture;
  std::vector<at::Tensor> weights, statistics;
  int64_t nodes;
  bool reduction;
  std::vector<int64_t> operations, active;
  bool training;
  double momentum, eps;
  int64_t groups;
  at::Tensor bypass;
};

// Checks every number and shape, so that the kernels need not; throws c10::Error with what was got and expected.
Plan makePlan(const CellArguments& arguments);

}  // namespace darts::kernels
