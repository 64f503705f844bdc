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

// The tensors that may have gradients come as one list: both inputs, the mixture (empty without one), then what is
// given, then the weights.
constexpr size_t kMixture = 2, kGiven = 3;

// What forward leaves for backward besides the arena.
struct Run : torch::CustomClassHolder {
  Plan plan;
  const Kernels* kernels;
  std::vector<at::Tensor> statistics;  // forward only, as the next
  at::Tensor paths;
  std::vector<int64_t> givenTo;
  // Of the tensors that may have gradients.
  std::vector<std::vector<int64_t>> shapes;
  std::vector<at::MemoryFormat> formats;
  size_t firstWeight() const { return kGiven + givenTo.size(); }
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
  std::vector<bool> used(count);
  for (int e = 0; e < plan.edges; e++) {
    const EdgePlan& edge = plan.edge[e];
    for (int norm = 0; norm < kNorms; norm++) {
      if (!edge.on[kOperationOf[norm]]) continue;
      for (const int first : {edge.weight[norm], edge.scale[norm]})
        if (first >= 0) used[first] = used[first + 1] = true;
    }
  }
  return used;
}

class FusedCell : public torch::autograd::Function<FusedCell> {
 public:
  static at::Tensor forward(torch::autograd::AutogradContext* context, at::TensorList tensors,
      const c10::intrusive_ptr<Run>& run, bool differentiable) {
    const Plan& plan = run->plan;
    ForwardCall call{};
    call.plan = &plan;
    call.threads = at::get_num_threads();
    call.keep = differentiable;
    std::vector<at::Tensor> dense;  // holds what the call points to
    for (size_t i = 0; i < tensors.size(); i++) {
      const bool images = i < kMixture || (i >= kGiven && i < kGiven + run->givenTo.size());
      run->formats.push_back(images ? formatOf(tensors[i]) : at::MemoryFormat::Contiguous);
      dense.push_back(tensors[i].contiguous(run->formats.back()));
      run->shapes.push_back(tensors[i].sizes().vec());
    }
    for (size_t i = 0; i < kMixture; i++) call.inputs[i] = imagesOf(dense[i]);
    for (size_t i = 0; i < run->givenTo.size(); i++) call.given[run->givenTo[i]] = imagesOf(dense[kGiven + i]);
    call.mixture = dense[kMixture].data_ptr<float>();
    const at::Tensor paths = plan.paths ? run->paths.contiguous() : at::Tensor();
    if (plan.paths) call.paths = paths.data_ptr<float>();
    std::vector<const float*> weights;
    for (size_t i = run->firstWeight(); i < dense.size(); i++) weights.push_back(dense[i].data_ptr<float>());
    call.weights = weights.data();
    std::vector<float*> statistics;
    for (const at::Tensor& statistic : run->statistics)
      statistics.push_back(statistic.scalar_type() == at::kFloat ? statistic.data_ptr<float>() : nullptr);
    call.statistics = statistics.data();

    const at::Tensor output = borrowImages({plan.images, plan.outputs * plan.channels, plan.height, plan.width}, run->formats[1]);
    call.output = imagesOf(output);
    if (!differentiable && !plan.training) {
      const at::Tensor scratch = borrow(run->kernels->inferenceFloats(plan, call.threads));
      call.scratch = scratch.data_ptr<float>();
      run->kernels->infer(call);
      return output;
    }
    const at::Tensor arena = borrow(run->kernels->arenaFloats(plan, differentiable));
    const at::Tensor scratch = borrow(run->kernels->scratchFloats(plan, call.threads, false));
    call.arena = arena.data_ptr<float>();
    call.scratch = scratch.data_ptr<float>();
    run->kernels->forward(call);
    if (differentiable) {
      run->statistics.clear();
      run->paths.reset();
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
    const size_t tensors = run.shapes.size();
    // One for each tensor, and nothing for the two arguments that follow them.
    torch::autograd::variable_list gradients(tensors + 2);
    if (!outputGradients[0].defined()) return gradients;

    BackwardCall call{};
    call.plan = &plan;
    call.threads = at::get_num_threads();
    const at::Tensor given = outputGradients[0].contiguous(formatOf(outputGradients[0]));
    call.outputGradient = imagesOf(given);
    for (size_t i = 0; i < run.firstWeight(); i++)
      call.wantsInputs = call.wantsInputs || (i != kMixture && context->needs_input_grad(i));
    for (size_t i = 0; i < run.firstWeight() && call.wantsInputs; i++) {
      if (i == kMixture) continue;
      gradients[i] = borrowImages(run.shapes[i], run.formats[i]);
      (i < kMixture ? call.inputGradients[i] : call.givenGradients[run.givenTo[i - kGiven]]) = imagesOf(gradients[i]);
    }
    gradients[kMixture] = at::zeros(run.shapes[kMixture], at::kFloat);
    call.mixtureGradient = gradients[kMixture].data_ptr<float>();

    const std::vector<bool> used = usedWeights(plan, tensors - run.firstWeight());
    for (size_t i = 0; i < used.size(); i++)
      call.wantsWeights = call.wantsWeights || (used[i] && context->needs_input_grad(run.firstWeight() + i));
    std::vector<float*> weightGradients(used.size(), nullptr);
    for (size_t i = 0; i < used.size() && call.wantsWeights; i++) {
      if (!used[i]) continue;
      at::Tensor& gradient = gradients[run.firstWeight() + i];
      gradient = at::empty(run.shapes[run.firstWeight() + i], at::kFloat);
      weightGradients[i] = gradient.data_ptr<float>();
    }
    call.weightGradients = weightGradients.data();
    const at::Tensor scratch = borrow(run.kernels->scratchFloats(plan, call.threads, true));
    call.arena = arena.data_ptr<float>();
    call.scratch = scratch.data_ptr<float>();
    run.kernels->backward(call);
    return gradients;
  }
};

// One more batch for the counters of the normalisations that are evaluated.
void countBatches(const Plan& plan, const std::vector<at::Tensor>& statistics) {
  for (int e = 0; e < plan.edges; e++) {
    for (int norm = 0; norm < kNorms; norm++) {
      const int first = plan.edge[e].norm[norm];
      if (first < 0 || !plan.edge[e].on[kOperationOf[norm]]) continue;
      for (int i = 0; i < 3; i++) statistics[first + i].unsafeGetTensorImpl()->bump_version();
      ++*statistics[first + 2].data_ptr<int64_t>();
    }
  }
}

at::Tensor cell(const at::Tensor& s0, const at::Tensor& s1, const c10::optional<at::Tensor>& mixture,
    const c10::optional<at::Tensor>& paths, at::TensorList given, at::IntArrayRef givenTo, at::TensorList weights,
    at::TensorList statistics, int64_t nodes, bool reduction, at::IntArrayRef edges, at::IntArrayRef operations,
    at::IntArrayRef active, at::IntArrayRef concat, bool training, double momentum, double eps) {
  const CellArguments arguments{s0, s1, mixture.value_or(at::Tensor()), paths.value_or(at::Tensor()), given.vec(),
      weights.vec(), statistics.vec(), givenTo.vec(), nodes, reduction, edges.vec(), operations.vec(), active.vec(),
      concat.vec(), training, momentum, eps};
  const auto run = c10::make_intrusive<Run>();
  run->plan = makePlan(arguments);
  run->kernels = &selectKernels();
  run->statistics = arguments.statistics;
  run->paths = arguments.paths;
  run->givenTo = arguments.givenTo;
  std::vector<at::Tensor> tensors{s0, s1, arguments.mixture.defined() ? arguments.mixture : at::empty({0})};
  tensors.insert(tensors.end(), given.begin(), given.end());
  tensors.insert(tensors.end(), weights.begin(), weights.end());
  bool differentiable = false;
  for (const at::Tensor& tensor : tensors) differentiable = differentiable || tensor.requires_grad();
  const at::Tensor output = FusedCell::apply(at::TensorList(tensors), run,
      differentiable && at::GradMode::is_enabled());
  if (training) countBatches(run->plan, arguments.statistics);
  return output;
}

// The bridge gives no strings to JavaScript: the build is known by its lanes, 16 (AVX-512), 8 (AVX2) or 4 (portable).
int64_t kernelLanes() { return selectKernels().lanes; }

}  // namespace

// A cell's body. s0 and s1: its preprocessed inputs, states 0 and 1; its nodes are the states from 2 on.
// mixture: weights of operations, any shape; paths: a scale for each edge and image, [edges, N], of all but the skip
// connections of stride 1; given: what the states in given_to start from; edges: source and target of each;
// operations: for each its edge, its number (Operation in cell.h), how it is normalised (0 not, 1 without scale and
// shift, 2 with) and the index of its weight in the mixture, or -1; weights and statistics: those of the operations in
// this order, each as a state_dict lists them; active: whether each operation is evaluated, or none for all;
// concat: the states that are put out.
TORCH_LIBRARY(darts, library) {
  library.def(
      "cell(Tensor s0, Tensor s1, Tensor? mixture, Tensor? paths, Tensor[] given, int[] given_to, Tensor[] weights, "
      "Tensor[] statistics, int nodes, bool reduction, int[] edges, int[] operations, int[] active, int[] concat, "
      "bool training, float momentum=0.1, float eps=1e-05) -> Tensor",
      cell);
  library.def("kernel_lanes() -> int", kernelLanes);
  library.def("release_memory() -> int", releaseMemory);
}

}  // namespace darts::kernels
