#include "plan.h"

#include <c10/util/Exception.h>

namespace darts::kernels {
namespace {

using Shape = std::vector<int64_t>;

void checkTensor(const at::Tensor& tensor, const char* name, int64_t index, at::IntArrayRef shape) {
  TORCH_CHECK(tensor.defined(), "darts::cell: ", name, " ", index, " is undefined");
  TORCH_CHECK(tensor.device().is_cpu() && tensor.scalar_type() == at::kFloat && tensor.layout() == at::kStrided, "darts::cell: ",
              name, " ", index, " is ", tensor.scalar_type(), " on ", tensor.device(), ", expected float32 on the cpu");
  TORCH_CHECK(tensor.sizes() == shape, "darts::cell: ", name, " ", index, " has shape ", tensor.sizes(), ", expected ", shape);
}

// Goes through the weights and the statistics in the order in which a state_dict lists them.
class Walk {
 public:
  Walk(const CellArguments& arguments, const Plan& plan) : arguments_(arguments), channels_(plan.channels) {}

  int weight(Shape shape) {
    TORCH_CHECK(weights_ < arguments_.weights.size(), "darts::cell: got ", arguments_.weights.size(), " weights, expected more");
    checkTensor(arguments_.weights[weights_], "weight", weights_, shape);
    return static_cast<int>(weights_++);
  }

  // A depthwise and a pointwise weight; the index of the first.
  int unit(int64_t kernel) {
    const int first = weight({channels_, 1, kernel, kernel});
    weight({channels_, channels_, 1, 1});
    return first;
  }

  // Running mean, running variance, counter; the index of the first.
  int norm() {
    TORCH_CHECK(norms_ + 3 <= arguments_.statistics.size(), "darts::cell: got ", arguments_.statistics.size(),
                " running statistics, expected more");
    for (size_t i = norms_; i < norms_ + 2; i++) {
      checkTensor(arguments_.statistics[i], "running statistic", i, {channels_});
      TORCH_CHECK(arguments_.statistics[i].is_contiguous(), "darts::cell: running statistic ", i, " is not contiguous");
    }
    const at::Tensor& counter = arguments_.statistics[norms_ + 2];
    TORCH_CHECK(counter.defined() && counter.scalar_type() == at::kLong && counter.dim() == 0,
                "darts::cell: running statistic ", norms_ + 2, " is no counter (a scalar of int64)");
    norms_ += 3;
    return static_cast<int>(norms_ - 3);
  }

  void end() const {
    TORCH_CHECK(weights_ == arguments_.weights.size(), "darts::cell: got ", arguments_.weights.size(), " weights, expected ", weights_);
    TORCH_CHECK(norms_ == arguments_.statistics.size(), "darts::cell: got ", arguments_.statistics.size(), " running statistics, expected ", norms_);
  }

 private:
  const CellArguments& arguments_;
  const int64_t channels_;
  size_t weights_ = 0, norms_ = 0;
};

// An operation of an edge: its weights and statistics, whether it is evaluated or not.
void addOperation(EdgePlan& edge, int64_t operation, Walk& walk, int64_t channels) {
  const auto unit = [&](int norm, int64_t kernel) {
    edge.weight[norm] = walk.unit(kernel);
    edge.norm[norm] = walk.norm();
  };
  switch (operation) {
    case kMaxPool: edge.norm[kMaxNorm] = walk.norm(); break;
    case kAvgPool: edge.norm[kAvgNorm] = walk.norm(); break;
    case kSep3: unit(kSep3First, 3); unit(kSep3Second, 3); break;
    case kSep5: unit(kSep5First, 5); unit(kSep5Second, 5); break;
    case kDil3: unit(kDil3Unit, 3); break;
    case kDil5: unit(kDil5Unit, 5); break;
    case kSkip:
      if (edge.stride == 1) break;
      TORCH_CHECK(channels % 2 == 0, "darts::cell: a factorized reduction needs an even number of channels, got ", channels);
      edge.weight[kReduceNorm] = walk.weight({channels / 2, channels, 1, 1});
      walk.weight({channels / 2, channels, 1, 1});
      edge.norm[kReduceNorm] = walk.norm();
      break;
    default: break;
  }
}

void checkInputs(const CellArguments& a) {
  TORCH_CHECK(a.s0.dim() == 4 && a.s0.numel() > 0, "darts::cell: input 0 has shape ", a.s0.sizes(), ", expected [N, C, H, W]");
  checkTensor(a.s0, "input", 0, a.s0.sizes());
  checkTensor(a.s1, "input", 1, a.s0.sizes());
  TORCH_CHECK(a.s0.size(0) < (1 << 24) && a.s0.size(1) < (1 << 16) && a.s0.size(2) * a.s0.size(3) < (1 << 24),
              "darts::cell: input 0 has shape ", a.s0.sizes(), ", which is too large");
  TORCH_CHECK(a.nodes >= 1 && a.nodes <= kMaxNodes, "darts::cell: got ", a.nodes, " nodes, expected 1 to ", kMaxNodes);
  TORCH_CHECK(a.groups >= 1 && a.s0.size(1) % a.groups == 0, "darts::cell: got ", a.groups, " groups of channels, expected a number that divides ",
              a.s0.size(1), " channels");
  TORCH_CHECK(a.eps >= 0 && a.momentum >= 0 && a.momentum <= 1, "darts::cell: got eps ", a.eps, " and momentum ", a.momentum);
}

void checkOperations(const CellArguments& a, int64_t edges) {
  const auto columns = static_cast<int64_t>(a.operations.size());
  TORCH_CHECK(columns > 0, "darts::cell: got no operations");
  bool seen[kOperations] = {};
  for (const int64_t operation : a.operations) {
    TORCH_CHECK(operation >= 0 && operation < kOperations, "darts::cell: got operation ", operation, ", expected 0 to ", kOperations - 1);
    TORCH_CHECK(!seen[operation], "darts::cell: operation ", operation, " is listed twice");
    seen[operation] = true;
  }
  checkTensor(a.mixture, "mixture", 0, {edges, columns});
  TORCH_CHECK((a.groups > 1) == a.bypass.defined(), "darts::cell: got ", a.groups, " groups of channels ", a.bypass.defined() ? "and" : "but no",
              " weights of bypasses, expected them with more than one group only");
  if (a.groups > 1) checkTensor(a.bypass, "weights of bypasses", 0, {edges});
  TORCH_CHECK(a.active.empty() || static_cast<int64_t>(a.active.size()) == edges * columns, "darts::cell: got ", a.active.size(),
              " flags of active operations, expected ", edges * columns, " or none");
  for (const int64_t flag : a.active) TORCH_CHECK(flag == 0 || flag == 1, "darts::cell: got flag ", flag, ", expected 0 or 1");
}

}  // namespace

Plan makePlan(const CellArguments& a) {
  checkInputs(a);
  Plan plan{};
  plan.images = static_cast<int>(a.s0.size(0));
  plan.groups = static_cast<int>(a.groups);
  plan.cellChannels = static_cast<int>(a.s0.size(1));
  plan.channels = plan.cellChannels / plan.groups;
  plan.inHeight = static_cast<int>(a.s0.size(2));
  plan.inWidth = static_cast<int>(a.s0.size(3));
  plan.reduction = a.reduction;
  plan.height = a.reduction ? (plan.inHeight + 1) / 2 : plan.inHeight;
  plan.width = a.reduction ? (plan.inWidth + 1) / 2 : plan.inWidth;
  plan.nodes = static_cast<int>(a.nodes);
  plan.states = plan.nodes + 2;
  plan.edges = plan.nodes * (plan.nodes + 3) / 2;
  plan.columns = static_cast<int>(a.operations.size());
  plan.training = a.training;
  plan.eps = a.eps;
  plan.momentum = a.momentum;
  checkOperations(a, plan.edges);
  TORCH_CHECK(!a.training || static_cast<int64_t>(plan.images) * plan.height * plan.width > 1,
              "darts::cell: batch statistics need more than one value per channel, got inputs ", a.s0.sizes());

  Walk walk(a, plan);
  int e = 0;
  for (int node = 0; node < plan.nodes; node++) {
    for (int source = 0; source < node + 2; source++, e++) {
      EdgePlan& edge = plan.edge[e];
      edge.source = source;
      edge.target = node + 2;
      edge.stride = a.reduction && source < 2 ? 2 : 1;
      for (int& column : edge.column) column = -1;
      for (int norm = 0; norm < kNorms; norm++) edge.weight[norm] = edge.norm[norm] = -1;
      for (int column = 0; column < plan.columns; column++) {
        const int64_t operation = a.operations[column];
        addOperation(edge, operation, walk, plan.channels);
        if (a.active.empty() || a.active[e * plan.columns + column]) edge.column[operation] = column;
      }
    }
  }
  walk.end();
  return plan;
}

}  // namespace darts::kernels
