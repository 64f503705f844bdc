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
  at::MemoryFormat inputFormats[2];
};

bool channelsLast(const at::Tensor& tensor) {
  return !tensor.is_contiguous() && tensor.is_contiguous(at::MemoryFormat::ChannelsLast);
}

at::MemoryFormat formatOf(const at::Tensor& tensor) {
  return channelsLast(tensor) ? at::MemoryFormat::ChannelsLast : at::MemoryFormat::Contiguous;
}

Images imagesOf(const at::Tensor& tensor) {
  return {tensor.data_ptr<float>(), tensor.stride(0), channelsLast(tensor) ? 1 : tensor.size(2) * tensor.size(3),
          channelsLast(tensor) ? tensor.size(1) : 1};
}

// Images [N, C, H, W], not initialised.
at::Tensor borrowImages(std::vector<int64_t> sizes, at::MemoryFormat format) {
  const int64_t n = sizes[0], c = sizes[1], h = sizes[2], w = sizes[3];
  const std::vector<int64_t> strides = format == at::MemoryFormat::ChannelsLast ? std::vector<int64_t>{c * h * w, 1,
      w * c, c}
                                                                                : std::vector<int64_t>{c * h * w,
                                                                                    h * w, w, 1};
  return borrow(n * c * h * w).as_strided(sizes, strides);
}

// Which weights belong to operations that are evaluated: the others have no gradient.
std::vector<bool> usedWeights(const Plan& plan, size_t count) {
  constexpr Operation kOperation[] = {kSep3, kSep5, kDil3, kDil5, kSep3, kSep5, kSkip};
  std::vector<bool> used(count);
  for (int e = 0; e < plan.edges; e++) {
    for (int norm = 0; norm <= kReduceNorm; norm++) {
      const int first = plan.edge[e].weight[norm];
      if (first >= 0 && plan.edge[e].column[kOperation[norm]] >= 0) used[first] = used[first + 1] = true;
    }
  }
  return used;
}

class FusedCell : public torch::autograd::Function<FusedCell> {
 public:
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& s0, const at::Tensor& s1,
      const at::Tensor& mixture, const at::Tensor& bypass, at::TensorList weights,
                            const c10::intrusive_ptr<Run>& run, bool differentiable) {
    const Plan& plan = run->plan;
    at::Tensor inputs[2];
    for (int i = 0; i < 2; i++) {
      const at::Tensor& given = i == 0 ? s0 : s1;
      run->inputFormats[i] = formatOf(given);
      inputs[i] = given.contiguous(run->inputFormats[i]);
    }
    const at::Tensor dense = mixture.contiguous(), denseBypass = bypass.contiguous();
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
    const at::Tensor output = borrowImages({plan.images, plan.nodes * plan.cellChannels, plan.height, plan.width},
        run->inputFormats[1]);
    const at::Tensor arena = borrow(run->kernels->arenaFloats(plan));
    const at::Tensor scratch = borrow(run->kernels->scratchFloats(plan, threads, false));
    run->kernels->forward({&plan, threads, {imagesOf(inputs[0]), imagesOf(inputs[1])}, imagesOf(output),
        dense.data_ptr<float>(), denseBypass.data_ptr<float>(), weightData.data(),
                           statistics.data(), arena.data_ptr<float>(), scratch.data_ptr<float>()});
    if (differentiable) {
      run->statistics.clear();
      context->save_for_backward({arena});  // freed with the graph
      context->saved_data["run"] = c10::IValue::make_capsule(run);
    }
    return output;
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
      torch::autograd::variable_list outputGradients) {
    TORCH_CHECK(!at::GradMode::is_enabled(), "darts::cell has no second derivatives: use the composite cell for createGraph");
    const at::Tensor arena = context->get_saved_variables()[0];
    const auto capsule = context->saved_data["run"].toCapsule();
    const Run& run = static_cast<const Run&>(*capsule);
    const Plan& plan = run.plan;
    const size_t weights = run.weightShapes.size();
    // s0, s1, mixture, bypass, weights…, and nothing for the two arguments that are no tensors.
    torch::autograd::variable_list gradients(4 + weights + 2);
    if (!outputGradients[0].defined()) return gradients;

    const at::Tensor given = outputGradients[0].contiguous(formatOf(outputGradients[0]));
    const bool wantsInputs = context->needs_input_grad(0) || context->needs_input_grad(1);
    Images inputGradients[2] = {};
    for (int i = 0; i < 2 && wantsInputs; i++) {
      gradients[i] = borrowImages({plan.images, plan.cellChannels, plan.inHeight, plan.inWidth}, run.inputFormats[i]);
      inputGradients[i] = imagesOf(gradients[i]);
    }
    gradients[2] = at::zeros({plan.edges, plan.columns}, at::kFloat);
    gradients[3] = at::zeros({plan.edges}, at::kFloat);
    const std::vector<bool> used = usedWeights(plan, weights);
    bool wantsWeights = false;
    for (size_t i = 0; i < weights; i++) wantsWeights = wantsWeights || (used[i] && context->needs_input_grad(4 + i));
    std::vector<float*> weightGradients(weights, nullptr);
    for (size_t i = 0; i < weights && wantsWeights; i++) {
      if (!used[i]) continue;
      gradients[4 + i] = at::empty(run.weightShapes[i], at::kFloat);
      weightGradients[i] = gradients[4 + i].data_ptr<float>();
    }
    const int threads = at::get_num_threads();
    const at::Tensor scratch = borrow(run.kernels->scratchFloats(plan, threads, true));
    run.kernels->backward({&plan, threads, imagesOf(given), wantsInputs, wantsWeights, {inputGradients[0],
        inputGradients[1]}, gradients[2].data_ptr<float>(), gradients[3].data_ptr<float>(),
                           weightGradients.data(), arena.data_ptr<float>(), scratch.data_ptr<float>()});
    return gradients;
  }
};

// One more batch for the counters of the normalisations that are evaluated.
void countBatches(const Plan& plan, const std::vector<at::Tensor>& statistics) {
  constexpr Operation kOperation[] = {kSep3, kSep5, kDil3, kDil5, kSep3, kSep5, kSkip, kMaxPool, kAvgPool};
  for (int e = 0; e < plan.edges; e++) {
    for (int norm = 0; norm < kNorms; norm++) {
      const int first = plan.edge[e].norm[norm];
      if (first < 0 || plan.edge[e].column[kOperation[norm]] < 0) continue;
      for (int i = 0; i < 2; i++) statistics[first + i].unsafeGetTensorImpl()->bump_version();
      statistics[first + 2].unsafeGetTensorImpl()->bump_version();
      ++*statistics[first + 2].data_ptr<int64_t>();
    }
  }
}

at::Tensor cell(const at::Tensor& s0, const at::Tensor& s1, const at::Tensor& mixture, at::TensorList weights,
    at::TensorList statistics,
                int64_t nodes, bool reduction, at::IntArrayRef operations, at::IntArrayRef active, bool training,
                    double momentum, double eps, int64_t groups, const c10::optional<at::Tensor>& bypass) {
  const CellArguments arguments{s0, s1, mixture, weights.vec(), statistics.vec(), nodes, reduction, operations.vec(),
      active.vec(),
                                training, momentum, eps, groups, bypass.value_or(at::Tensor())};
  const auto run = c10::make_intrusive<Run>();
  run->plan = makePlan(arguments);
  run->kernels = &selectKernels();
  run->statistics = arguments.statistics;
  const at::Tensor bypassWeights = groups > 1 ? arguments.bypass : at::zeros({run->plan.edges}, at::kFloat);
  bool differentiable = s0.requires_grad() || s1.requires_grad() || mixture.requires_grad() || bypassWeights.requires_grad();
  for (const at::Tensor& weight : weights) differentiable = differentiable || weight.requires_grad();
  const at::Tensor output = FusedCell::apply(s0, s1, mixture, bypassWeights, weights, run,
      differentiable && at::GradMode::is_enabled());
  if (training) countBatches(run->plan, arguments.statistics);
  return output;
}

// The bridge gives no strings to JavaScript: the build is known by its lanes, 16 (AVX-512), 8 (AVX2) or 4 (portable).
int64_t kernelLanes() { return selectKernels().lanes; }

}  // namespace

// A supernet cell's body. s0 and s1: its preprocessed inputs; mixture: weights [edges, operations]; weights and
// statistics: those of the edges' operations in the order of a state_dict; operations: for each column of the mixture
// its place among the eight of DARTS; active: a flag for each of the mixture's weights, or none for all; groups: the
// operations see the first of so many groups of channels, and `bypass` has the weight of each edge for the others.
TORCH_LIBRARY(darts, library) {
  library.def(
      "cell(Tensor s0, Tensor s1, Tensor mixture, Tensor[] weights, Tensor[] statistics, int nodes, bool reduction, int[] operations, "
      "int[] active, bool training, float momentum=0.1, float eps=1e-05, int groups=1, Tensor? bypass=None) -> Tensor",
      cell);
  library.def("kernel_lanes() -> int", kernelLanes);
  library.def("release_memory() -> int", releaseMemory);
}

}  // namespace darts::kernels
