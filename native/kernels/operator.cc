// darts::cell, the fused cell as an operator of libtorch with autograd.
#include "memory.h"
#include "plan.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include <utility>

namespace darts::kernels {
namespace {

// What forward leaves for backward besides the arena.
struct Run : torch::CustomClassHolder {
  Plan plan;
  const Kernels* kernels;
  std::vector<at::Tensor> statistics;  // forward only
  std::vector<std::vector<int64_t>> weightShapes;
};

// Which weights belong to operations that are evaluated: the others have no gradient.
std::vector<bool> usedWeights(const Plan& plan, size_t count) {
  constexpr Operation kOperation[] = {kSep3, kSep5, kDil3, kDil5, kSep3, kSep5, kSkip};
  std::vector<bool> used(count);
  for (const InputPlan& input : plan.input) {
    const int weights = (input.preprocess == kAsItIs ? 0 : input.preprocess == kReduce ? 2 : 1) + (input.affine ? 2 : 0);
    for (int i = 0; i < weights; i++) used[input.weight + i] = true;
  }
  for (int e = 0; e < plan.edges; e++) {
    for (int norm = 0; norm <= kReduceNorm; norm++) {
      const int first = plan.edge[e].weight[norm];
      if (first >= 0 && plan.edge[e].column[kOperation[norm]] >= 0) used[first] = used[first + 1] = true;
    }
  }
  return used;
}

// Images in blocks as the kernels read them: dense, and on the boundary of a register.
at::Tensor dense(const at::Tensor& blocks) {
  const at::Tensor tensor = blocks.contiguous();
  constexpr uintptr_t kAlignment = 64;
  return reinterpret_cast<uintptr_t>(tensor.data_ptr<float>()) % kAlignment == 0 ? tensor : tensor.clone();
}

class FusedCell : public torch::autograd::Function<FusedCell> {
 public:
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& s0, const at::Tensor& s1,
      const at::Tensor& mixture,
                            at::TensorList weights, const c10::intrusive_ptr<Run>& run, bool differentiable) {
    const Plan& plan = run->plan;
    const at::Tensor inputs[2] = {dense(s0), dense(s1)};
    const at::Tensor denseMixture = mixture.contiguous();
    std::vector<at::Tensor> denseWeights;
    std::vector<const float*> weightData;
    for (const at::Tensor& weight : weights) {
      denseWeights.push_back(weight.contiguous());
      weightData.push_back(denseWeights.back().data_ptr<float>());
      run->weightShapes.push_back(weight.sizes().vec());
    }
    std::vector<float*> statistics;
    for (const at::Tensor& statistic : run->statistics)
      statistics.push_back(statistic.scalar_type() == at::kFloat ? statistic.data_ptr<float>() : nullptr);

    const int threads = at::get_num_threads();
    const int64_t lanes = run->kernels->lanes;
    const at::Tensor output = borrow({plan.nodes, plan.images, (plan.channels + lanes - 1) / lanes, plan.height, plan.width, lanes});
    const at::Tensor arena = borrow(run->kernels->arenaFloats(plan));
    const at::Tensor scratch = borrow(run->kernels->scratchFloats(plan, threads, false));
    run->kernels->forward({&plan, threads, {inputs[0].data_ptr<float>(), inputs[1].data_ptr<float>()}, output.data_ptr<float>(),
                           denseMixture.data_ptr<float>(), weightData.data(), statistics.data(), arena.data_ptr<float>(),
                           scratch.data_ptr<float>()});
    if (differentiable) {
      run->statistics.clear();
      // The arena is freed with the graph; inputs and output are those of the neighbouring cells, not copies.
      context->save_for_backward({arena, inputs[0], inputs[1], output});
      context->saved_data["run"] = c10::IValue::make_capsule(run);
    }
    return output;
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
      torch::autograd::variable_list outputGradients) {
    TORCH_CHECK(!at::GradMode::is_enabled(), "darts::cell has no second derivatives: use the composite cell for createGraph");
    const auto saved = context->get_saved_variables();
    const at::Tensor &arena = saved[0], &output = saved[3];
    const auto capsule = context->saved_data["run"].toCapsule();
    const Run& run = static_cast<const Run&>(*capsule);
    const Plan& plan = run.plan;
    const size_t weights = run.weightShapes.size();
    // s0, s1, mixture, weights…, and nothing for the two arguments that are no tensors.
    torch::autograd::variable_list gradients(3 + weights + 2);
    if (!outputGradients[0].defined()) return gradients;

    const at::Tensor given = dense(outputGradients[0]);
    float* inputGradients[2] = {};
    for (int i = 0; i < 2; i++) {
      if (!context->needs_input_grad(i)) continue;
      gradients[i] = borrow(saved[1 + i].sizes());
      inputGradients[i] = gradients[i].data_ptr<float>();
    }
    gradients[2] = at::zeros({plan.edges, plan.columns}, at::kFloat);
    const std::vector<bool> used = usedWeights(plan, weights);
    bool wantsWeights = false;
    for (size_t i = 0; i < weights; i++) wantsWeights = wantsWeights || (used[i] && context->needs_input_grad(3 + i));
    std::vector<float*> weightGradients(weights, nullptr);
    for (size_t i = 0; i < weights && wantsWeights; i++) {
      if (!used[i]) continue;
      gradients[3 + i] = at::empty(run.weightShapes[i], at::kFloat);
      weightGradients[i] = gradients[3 + i].data_ptr<float>();
    }
    const int threads = at::get_num_threads();
    const at::Tensor scratch = borrow(run.kernels->scratchFloats(plan, threads, true));
    run.kernels->backward({&plan, threads, {saved[1].data_ptr<float>(), saved[2].data_ptr<float>()}, output.data_ptr<float>(),
                           given.data_ptr<float>(), wantsWeights, {inputGradients[0], inputGradients[1]},
                           gradients[2].data_ptr<float>(), weightGradients.data(), arena.data_ptr<float>(),
                           scratch.data_ptr<float>()});
    return gradients;
  }
};

// One more batch for the counters of the normalisations that are evaluated.
void countBatches(const Plan& plan, const std::vector<at::Tensor>& statistics) {
  constexpr Operation kOperation[] = {kSep3, kSep5, kDil3, kDil5, kSep3, kSep5, kSkip, kMaxPool, kAvgPool};
  const auto count = [&](int first) {
    for (int i = 0; i < 3; i++) statistics[first + i].unsafeGetTensorImpl()->bump_version();
    ++*statistics[first + 2].data_ptr<int64_t>();
  };
  for (const InputPlan& input : plan.input)
    if (input.norm >= 0) count(input.norm);
  for (int e = 0; e < plan.edges; e++)
    for (int norm = 0; norm < kNorms; norm++)
      if (plan.edge[e].norm[norm] >= 0 && plan.edge[e].column[kOperation[norm]] >= 0) count(plan.edge[e].norm[norm]);
}

at::Tensor cell(const at::Tensor& s0, const at::Tensor& s1, const at::Tensor& mixture, at::TensorList weights,
    at::TensorList statistics, int64_t channels, at::IntArrayRef inputChannels, at::IntArrayRef preprocess, bool affine,
    int64_t nodes, bool reduction, at::IntArrayRef operations, at::IntArrayRef active, bool training, double momentum,
    double eps) {
  const CellArguments arguments{{s0, s1}, mixture, weights.vec(), statistics.vec(), channels, inputChannels.vec(),
                                preprocess.vec(), affine, nodes, reduction, operations.vec(), active.vec(), training,
                                momentum, eps};
  const auto run = c10::make_intrusive<Run>();
  run->kernels = &selectKernels();
  run->plan = makePlan(arguments, run->kernels->lanes);
  run->statistics = arguments.statistics;
  bool differentiable = s0.requires_grad() || s1.requires_grad() || mixture.requires_grad();
  for (const at::Tensor& weight : weights) differentiable = differentiable || weight.requires_grad();
  const at::Tensor output = FusedCell::apply(s0, s1, mixture, weights, run,
      differentiable && at::GradMode::is_enabled());
  if (training) countBatches(run->plan, arguments.statistics);
  return output;
}

// The bridge gives no strings to JavaScript: the build is known by its lanes, 16 (AVX-512), 8 (AVX2) or 4 (portable).
int64_t kernelLanes() { return selectKernels().lanes; }

}  // namespace

// A supernet cell. s0 and s1: its inputs, in parts of input_channels (see blocks.cc); mixture: weights [edges, operations];
// weights and statistics: those of the preprocessing, then of the edges' operations, in the order of a state_dict;
// preprocess: for each input nothing (0), a 1×1 convolution (1) or a factorized reduction (2), affine if its
// normalisation has a scale and a shift; operations: for each column of the mixture its place among the eight of DARTS;
// active: a flag for each of the mixture's weights, or none for all. Returns the nodes, as the parts of one tensor.
TORCH_LIBRARY(darts, library) {
  library.def(
      "cell(Tensor s0, Tensor s1, Tensor mixture, Tensor[] weights, Tensor[] statistics, int channels, "
      "int[] input_channels, int[] preprocess, bool affine, int nodes, bool reduction, int[] operations, int[] active, "
      "bool training, float momentum=0.1, float eps=1e-05) -> Tensor",
      cell);
  library.def("kernel_lanes() -> int", kernelLanes);
  library.def("release_memory() -> int", releaseMemory);
}

}  // namespace darts::kernels
