// From the operator's arguments to a checked plan of a cell.
#pragma once

#include "cell.h"

#include <ATen/core/Tensor.h>

namespace darts::kernels {

// How outputs are normalised.
enum NormKind { kBare, kPlain, kAffine };

// What darts::cell is called with; see its schema in operator.cc. Views: it lives as long as the call.
struct CellArguments {
  at::Tensor states[2];
  at::Tensor mixture, bypass, paths;  // undefined where there are none
  at::TensorList given, weights, statistics;
  at::IntArrayRef givenTo;          // state of each given tensor
  int64_t channels, groups, nodes;
  bool reduction;
  at::IntArrayRef inputs;           // channels of a part, preprocessing and kind of norm of each
  at::IntArrayRef edges;            // source and target of each
  at::IntArrayRef operations;       // edge, operation, kind of norm and index in the mixture (or -1) of each
  at::IntArrayRef concat;           // states that are put out
  bool training, halves;
  double momentum, eps;
};

// Checks every number and shape, so that the kernels need not; throws c10::Error with what was got and expected.
// `lanes`: channels in a block.
Plan makePlan(const CellArguments& arguments, int64_t lanes);

}  // namespace darts::kernels
