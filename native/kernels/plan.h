// From the operator's arguments to a checked plan of a cell.
#pragma once

#include "cell.h"

#include <ATen/core/Tensor.h>

#include <vector>

namespace darts::kernels {

// What darts::cell is called with; see its schema in operator.cc.
struct CellArguments {
  at::Tensor inputs[2], mixture;
  std::vector<at::Tensor> weights, statistics;
  int64_t channels;
  std::vector<int64_t> inputChannels, preprocess;
  bool affine;
  int64_t nodes;
  bool reduction;
  std::vector<int64_t> operations, active;
  bool training;
  double momentum, eps;
};

// Checks every number and shape, so that the kernels need not; throws c10::Error with what was got and expected.
// `lanes`: channels in a block.
Plan makePlan(const CellArguments& arguments, int64_t lanes);

}  // namespace darts::kernels
