#include "plan.h"

#include <c10/util/Exception.h>

#include <vector>

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
  explicit Walk(const CellArguments& arguments) : arguments_(arguments) {}

  int weight(Shape shape) {
    TORCH_CHECK(weights_ < arguments_.weights.size(), "darts::cell: got ", arguments_.weights.size(), " weights, expected more");
    checkTensor(arguments_.weights[weights_], "weight", weights_, shape);
    return static_cast<int>(weights_++);
  }

  // A depthwise and a pointwise weight; the index of the first.
  int unit(int64_t kernel, int64_t channels) {
    const int first = weight({channels, 1, kernel, kernel});
    weight({channels, channels, 1, 1});
    return first;
  }

  // The two convolutions of a factorized reduction; the index of the first.
  int reduction(int64_t from, int64_t to) {
    TORCH_CHECK(to % 2 == 0, "darts::cell: a factorized reduction needs an even number of channels, got ", to);
    const int first = weight({to / 2, from, 1, 1});
    weight({to / 2, from, 1, 1});
    return first;
  }

  // A normalisation: scale and shift where it has them, then its statistics.
  NormPlan norm(int64_t kind, int64_t channels) {
    if (kind == kBare) return {-1, -1};
    int scale = -1;
    if (kind == kAffine) {
      scale = weight({channels});
      weight({channels});
    }
    return {statistics(channels), scale};
  }

  void end() const {
    TORCH_CHECK(weights_ == arguments_.weights.size(), "darts::cell: got ", arguments_.weights.size(), " weights, expected ", weights_);
    TORCH_CHECK(norms_ == arguments_.statistics.size(), "darts::cell: got ", arguments_.statistics.size(), " running statistics, expected ", norms_);
  }

 private:
  // Running mean, running variance, counter; the index of the first.
  int statistics(int64_t channels) {
    TORCH_CHECK(norms_ + 3 <= arguments_.statistics.size(), "darts::cell: got ", arguments_.statistics.size(),
                " running statistics, expected more");
    for (size_t i = norms_; i < norms_ + 2; i++) {
      checkTensor(arguments_.statistics[i], "running statistic", i, {channels});
      TORCH_CHECK(arguments_.statistics[i].is_contiguous(), "darts::cell: running statistic ", i, " is not contiguous");
    }
    const at::Tensor& counter = arguments_.statistics[norms_ + 2];
    TORCH_CHECK(counter.defined() && counter.device().is_cpu() && counter.scalar_type() == at::kLong && counter.dim() == 0,
                "darts::cell: running statistic ", norms_ + 2, " is no counter (a scalar of int64)");
    norms_ += 3;
    return static_cast<int>(norms_ - 3);
  }

  const CellArguments& arguments_;
  size_t weights_ = 0, norms_ = 0;
};

// A number of a list that must lie in [first, end).
int within(int64_t value, int64_t first, int64_t end, const char* what) {
  TORCH_CHECK(value >= first && value < end, "darts::cell: got ", what, " ", value, ", expected ", first, " to ", end - 1);
  return static_cast<int>(value);
}

// An operation of an edge: its weights and statistics.
void addOperation(EdgePlan& edge, int64_t operation, int64_t kind, Walk& walk, int64_t channels) {
  const bool pool = operation == kMaxPool || operation == kAvgPool;
  const bool bare = operation == kNone || (operation == kSkip && edge.stride == 1);
  TORCH_CHECK(pool || (kind == kBare) == bare, "darts::cell: got norm ", kind, " for operation ", operation, " of stride ", edge.stride,
              bare ? ", expected 0: it has none" : ", expected 1 or 2: it is always normalised");
  const auto unit = [&](int norm, int64_t kernel) {
    edge.weight[norm] = walk.unit(kernel, channels);
    edge.norm[norm] = walk.norm(kind, channels);
  };
  switch (operation) {
    case kMaxPool: edge.norm[kMaxNorm] = walk.norm(kind, channels); break;
    case kAvgPool: edge.norm[kAvgNorm] = walk.norm(kind, channels); break;
    case kSep3: unit(kSep3First, 3); unit(kSep3Second, 3); break;
    case kSep5: unit(kSep5First, 5); unit(kSep5Second, 5); break;
    case kSep7: unit(kSep7First, 7); unit(kSep7Second, 7); break;
    case kDil3: unit(kDil3Unit, 3); break;
    case kDil5: unit(kDil5Unit, 5); break;
    case kSkip:
      if (edge.stride == 1) break;
      edge.weight[kReduceNorm] = walk.reduction(channels, channels);
      edge.norm[kReduceNorm] = walk.norm(kind, channels);
      break;
    default: break;
  }
}

void checkNumbers(const CellArguments& a) {
  TORCH_CHECK(a.channels >= 1 && a.channels < (1 << 16), "darts::cell: got ", a.channels, " channels, expected 1 to ", (1 << 16) - 1);
  TORCH_CHECK(a.groups >= 1 && a.channels % a.groups == 0, "darts::cell: got ", a.groups, " groups of channels, expected a number that divides ",
              a.channels, " channels");
  TORCH_CHECK((a.groups > 1) == a.bypass.defined(), "darts::cell: got ", a.groups, " groups of channels ", a.bypass.defined() ? "and" : "but no",
              " weights of bypasses, expected them with more than one group only");
  TORCH_CHECK(a.nodes >= 1 && a.nodes <= kMaxNodes, "darts::cell: got ", a.nodes, " nodes, expected 1 to ", kMaxNodes);
  TORCH_CHECK(a.eps >= 0 && a.momentum >= 0 && a.momentum <= 1, "darts::cell: got eps ", a.eps, " and momentum ", a.momentum);
  TORCH_CHECK(a.inputs.size() == 6, "darts::cell: got ", a.inputs.size(), " numbers of inputs, expected channels, preprocessing and norm of two");
}

// An input's shape, how it becomes a state, and the weights for that.
InputPlan planInput(const CellArguments& a, int i, int64_t lanes, Walk& walk) {
  const at::Tensor &input = a.states[i], &first = a.states[0];
  const int64_t* row = &a.inputs[3 * i];
  TORCH_CHECK(input.dim() == 6 && input.numel() > 0, "darts::cell: input ", i, " has shape ", input.sizes(),
              ", expected [parts, N, blocks, H, W, ", lanes, "]");
  const int channels = within(row[0], 1, 1 << 16, "channels of an input's parts");
  checkTensor(input, "input", i, {input.size(0), first.size(1), (channels + lanes - 1) / lanes, input.size(3), input.size(4), lanes});
  const int64_t from = input.size(0) * channels;
  TORCH_CHECK(first.size(1) < (1 << 24) && from < (1 << 16) && input.size(3) * input.size(4) < (1 << 24),
              "darts::cell: input ", i, " has shape ", input.sizes(), ", which is too large");
  InputPlan plan{within(row[1], 0, kPreprocesses, "preprocessing"), static_cast<int>(input.size(0)), channels,
                 static_cast<int>(input.size(3)), static_cast<int>(input.size(4)), -1, {-1, -1}};
  const int kind = within(row[2], kBare, kAffine + 1, "norm");
  TORCH_CHECK((kind == kBare) == !plan.on(), "darts::cell: got norm ", kind, " for preprocessing ", plan.preprocess,
              plan.on() ? ", expected 1 or 2: it is always normalised" : ", expected 0: it has none");
  TORCH_CHECK(plan.on() || from == a.channels, "darts::cell: input ", i, " has ", input.size(0), " parts of ", channels,
              " channels; without preprocessing expected 1 of ", a.channels);
  TORCH_CHECK(plan.on() || plan.parts == 1, "darts::cell: input ", i, " has ", input.size(0), " parts; without preprocessing expected 1");
  if (plan.preprocess == kReduce) plan.weight = walk.reduction(from, a.channels);
  else if (plan.preprocess == kPointwise) plan.weight = walk.weight({a.channels, from, 1, 1});
  plan.norm = walk.norm(kind, a.channels);
  return plan;
}

// Size of the state that an input becomes.
Shape stateSize(const InputPlan& input) {
  const int stride = input.preprocess == kReduce ? 2 : 1;
  return {(input.height + stride - 1) / stride, (input.width + stride - 1) / stride};
}

void addInputs(Plan& plan, const CellArguments& a, int64_t lanes, Walk& walk) {
  for (int i = 0; i < 2; i++) plan.input[i] = planInput(a, i, lanes, walk);
  const Shape size = stateSize(plan.input[0]);
  TORCH_CHECK(stateSize(plan.input[1]) == size, "darts::cell: the states made of the inputs ", a.states[0].sizes(), " and ",
              a.states[1].sizes(), " differ in size");
  plan.images = static_cast<int>(a.states[0].size(1));
  plan.inHeight = static_cast<int>(size[0]);
  plan.inWidth = static_cast<int>(size[1]);
  plan.height = a.reduction ? (plan.inHeight + 1) / 2 : plan.inHeight;
  plan.width = a.reduction ? (plan.inWidth + 1) / 2 : plan.inWidth;
}

void addEdges(Plan& plan, const CellArguments& a) {
  TORCH_CHECK(a.edges.size() % 2 == 0 && a.edges.size() / 2 <= kMaxEdges, "darts::cell: got ", a.edges.size(),
              " numbers of edges, expected a source and a target for each of at most ", kMaxEdges);
  plan.edges = static_cast<int>(a.edges.size() / 2);
  for (int e = 0; e < plan.edges; e++) {
    EdgePlan& edge = plan.edge[e];
    edge.target = within(a.edges[2 * e + 1], 2, plan.states, "an edge to state");
    edge.source = within(a.edges[2 * e], 0, edge.target, "an edge from state");
    edge.stride = a.reduction && edge.source < 2 ? 2 : 1;
    for (int& index : edge.mixture) index = -1;
    for (int norm = 0; norm < kNorms; norm++) {
      edge.weight[norm] = -1;
      edge.norm[norm] = {-1, -1};
    }
  }
}

void addOperations(Plan& plan, const CellArguments& a, Walk& walk) {
  TORCH_CHECK(a.operations.size() % 4 == 0, "darts::cell: got ", a.operations.size(), " numbers of operations, expected 4 for each");
  const size_t count = a.operations.size() / 4;
  if (a.mixture.defined()) checkTensor(a.mixture, "mixture", 0, a.mixture.sizes());
  plan.mixture = a.mixture.defined() ? static_cast<int>(a.mixture.numel()) : 0;
  bool seen[kMaxEdges][kOperations] = {};
  for (size_t i = 0; i < count; i++) {
    const int64_t* row = &a.operations[4 * i];
    const int e = within(row[0], 0, plan.edges, "an operation of edge");
    const int operation = within(row[1], 0, kOperations, "operation");
    const int kind = within(row[2], kBare, kAffine + 1, "norm");
    TORCH_CHECK(!seen[e][operation], "darts::cell: operation ", operation, " is listed twice for edge ", e);
    seen[e][operation] = true;
    EdgePlan& edge = plan.edge[e];
    edge.mixture[operation] = within(row[3], -1, plan.mixture, "a weight of the mixture");
    addOperation(edge, operation, kind, walk, plan.channels);
    edge.on[operation] = true;
  }
  walk.end();
}

// What comes into the nodes besides the edges, and what goes out.
void addBorders(Plan& plan, const CellArguments& a, int64_t lanes) {
  TORCH_CHECK(a.groups == 1 || (a.given.empty() && !a.paths.defined()), "darts::cell: got given tensors or paths with ", a.groups,
              " groups of channels, expected 1 group");
  if (a.bypass.defined()) checkTensor(a.bypass, "weights of bypasses", 0, {plan.edges});
  TORCH_CHECK(a.given.size() == a.givenTo.size(), "darts::cell: got ", a.given.size(), " given tensors for ", a.givenTo.size(), " states");
  bool reached[kMaxStates] = {};
  for (int e = 0; e < plan.edges; e++) reached[plan.edge[e].target] = true;
  for (size_t i = 0; i < a.given.size(); i++) {
    const int state = within(a.givenTo[i], 2, plan.states, "a given tensor of state");
    TORCH_CHECK(!plan.given[state], "darts::cell: state ", state, " is given twice");
    checkTensor(a.given[i], "given tensor", static_cast<int64_t>(i), {1, plan.images, (a.channels + lanes - 1) / lanes, plan.height, plan.width, lanes});
    plan.given[state] = reached[state] = true;
  }
  for (int state = 2; state < plan.states; state++)
    TORCH_CHECK(reached[state], "darts::cell: state ", state, " has no edge and is not given");

  TORCH_CHECK(!a.concat.empty() && a.concat.size() <= static_cast<size_t>(plan.nodes), "darts::cell: got ", a.concat.size(),
              " states to put out, expected 1 to ", plan.nodes);
  bool out[kMaxStates] = {};
  for (const int64_t wanted : a.concat) {
    const int state = within(wanted, 2, plan.states, "to put out state");
    TORCH_CHECK(!out[state], "darts::cell: state ", state, " is put out twice");
    out[state] = true;
    plan.output[plan.outputs++] = state;
  }
  if (a.paths.defined()) checkTensor(a.paths, "paths", 0, {plan.edges, plan.images});
  plan.paths = a.paths.defined();
}

}  // namespace

Plan makePlan(const CellArguments& a, int64_t lanes) {
  checkNumbers(a);
  Plan plan{};
  plan.groups = static_cast<int>(a.groups);
  plan.stateChannels = static_cast<int>(a.channels);
  plan.channels = plan.stateChannels / plan.groups;
  plan.reduction = a.reduction;
  plan.nodes = static_cast<int>(a.nodes);
  plan.states = plan.nodes + 2;
  plan.training = a.training;
  plan.halves = a.halves;
  plan.eps = a.eps;
  plan.momentum = a.momentum;
  Walk walk(a);
  addInputs(plan, a, lanes, walk);
  addEdges(plan, a);
  addOperations(plan, a, walk);
  addBorders(plan, a, lanes);
  TORCH_CHECK(!a.training || a.statistics.empty() || static_cast<int64_t>(plan.images) * plan.height * plan.width > 1,
              "darts::cell: batch statistics need more than one value per channel, got inputs ", a.states[0].sizes());
  return plan;
}

}  // namespace darts::kernels
