// darts::cell, the fused cell as an operator of libtorch with autograd.
#include "memory.h"
#include "plan.h"
#include "prepared.h"
#include "threads.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include <cstring>
#include <utility>

namespace darts::kernels {
namespace {

// The tensors that may have gradients come as one list: both inputs, the mixture and the weights of the bypasses (empty
// without them), then what is given, then the weights.
constexpr size_t kMixture = 2, kBypass = 3, kGiven = 4;

// What forward leaves for backward besides tensors.
struct Run : torch::CustomClassHolder {
  Plan plan;
  const Kernels* kernels;
  bool recompute;                      // backward makes the arena again
  std::vector<at::Tensor> statistics;  // forward only, as the next
  at::Tensor paths;
  std::vector<int64_t> statisticsSizes;
  std::vector<int64_t> givenTo;
  // Of the tensors that may have gradients.
  std::vector<std::vector<int64_t>> shapes;
  size_t firstWeight() const { return kGiven + givenTo.size(); }
};

// A normalisation's mean or variance; its counter is not the kernels'.
float* floatsOf(const at::Tensor& statistic) {
  return statistic.scalar_type() == at::kFloat ? statistic.data_ptr<float>() : nullptr;
}

// What forward computes from: dense tensors, in the order of those that may have gradients; paths may be undefined.
struct Operands {
  std::vector<at::Tensor> tensors;
  at::Tensor paths;
  std::vector<float*> statistics;
};

// What forward computes.
struct Results {
  at::Tensor output, arena;
};

at::Tensor emptyFloats(size_t floats) { return at::empty({static_cast<int64_t>(floats)}, at::kFloat); }

// What a cell that is computed again does not keep passes with the call. Without that, scratch memory alone does: it finds
// room in what other cells have given back, and needs none of its own.
at::Tensor emptyForNow(bool recompute, size_t floats) { return recompute ? borrowForCall(floats) : emptyFloats(floats); }

// Runs the kernels on a call that knows all but where its results, `arena` floats for backward and `scratch` floats lie.
Results runForward(const Kernels& kernels, ForwardCall& call, bool recompute, size_t arenaFloats, size_t scratchFloats) {
  const Plan& plan = *call.plan;
  const int64_t lanes = kernels.lanes;
  // The largest first: the others must not stand in its place.
  const at::Tensor arena = emptyForNow(recompute, arenaFloats);
  const at::Tensor output = at::empty({plan.outputs, plan.images, (plan.stateChannels + lanes - 1) / lanes, plan.height, plan.width, lanes}, at::kFloat);
  const at::Tensor scratch = emptyForNow(recompute, scratchFloats);
  call.arena = arena.data_ptr<float>();
  call.output = output.data_ptr<float>();
  call.scratch = scratch.data_ptr<float>();
  kernels.forward(call);
  return {output, arena};
}

Results computeForward(const Run& run, const Operands& operands, bool keep) {
  const Plan& plan = run.plan;
  const std::vector<at::Tensor>& held = operands.tensors;
  ForwardCall call{};
  call.plan = &plan;
  call.threads = threadCount();
  call.keep = keep;
  const size_t firstWeight = run.firstWeight();
  for (size_t i = 0; i < kMixture; i++) call.inputs[i] = held[i].data_ptr<float>();
  for (size_t i = kGiven; i < firstWeight; i++) call.given[run.givenTo[i - kGiven]] = held[i].data_ptr<float>();
  call.mixture = held[kMixture].data_ptr<float>();
  call.bypass = held[kBypass].data_ptr<float>();
  if (plan.paths) call.paths = operands.paths.data_ptr<float>();
  std::vector<const float*> weights;
  for (size_t i = firstWeight; i < held.size(); i++) weights.push_back(held[i].data_ptr<float>());
  call.weights = weights.data();
  call.statistics = operands.statistics.data();
  return runForward(*run.kernels, call, run.recompute, run.kernels->arenaFloats(plan, keep),
      run.kernels->forwardFloats(plan, call.threads, keep));
}

// Forward once more, from what it kept. In training the running statistics moved the first time, and now nothing that
// is read moves; in evaluation they are what the tensors are normalised by.
Results computeAgain(const Run& run, const torch::autograd::variable_list& kept) {
  const size_t tensors = run.shapes.size(), statistics = run.statisticsSizes.size();
  Operands operands{{kept.begin(), kept.begin() + tensors}, kept[tensors], {}};
  std::vector<at::Tensor> unread;
  for (size_t i = 0; i < statistics; i++) {
    at::Tensor statistic = run.plan.training ? at::zeros({run.statisticsSizes[i]}, at::kFloat) : kept[tensors + 1 + i];
    operands.statistics.push_back(floatsOf(statistic));
    unread.push_back(std::move(statistic));
  }
  return computeForward(run, operands, true);
}

class FusedCell : public torch::autograd::Function<FusedCell> {
 public:
  static torch::autograd::variable_list forward(torch::autograd::AutogradContext* context, at::TensorList tensors,
      const c10::intrusive_ptr<Run>& run, bool differentiable) {
    Operands operands;
    const size_t firstWeight = run->firstWeight();
    for (size_t i = 0; i < tensors.size(); i++) {
      const bool images = i < kMixture || (i >= kGiven && i < firstWeight);
      operands.tensors.push_back(images ? dense(tensors[i]) : tensors[i].contiguous());
      run->shapes.push_back(tensors[i].sizes().vec());
    }
    if (run->plan.paths) operands.paths = run->paths.contiguous();
    for (const at::Tensor& statistic : run->statistics) operands.statistics.push_back(floatsOf(statistic));
    const Results results = computeForward(*run, operands, differentiable);
    if (differentiable) {
      keepForBackward(context, *run, operands, results);
      context->saved_data["run"] = c10::IValue::make_capsule(run);
    }
    // As a second result the second input passes through, so that whoever reads it after this cell sends its gradient here,
    // where the kernels add their own to it as they write that: libtorch would read and write both once more.
    if (differentiable && tensors[1].requires_grad()) return {results.output, tensors[1]};
    return {results.output};
  }

  // Inputs and output are those of the neighbouring cells, not copies. What is computed again needs no output: the next
  // cell's backward has freed it by then. Kept tensors that change before backward are an error there, as everywhere in libtorch.
  static void keepForBackward(torch::autograd::AutogradContext* context, Run& run, const Operands& operands,
      const Results& results) {
    torch::autograd::variable_list kept;
    if (run.recompute) {
      kept = operands.tensors;
      kept.push_back(operands.paths);
      for (const at::Tensor& statistic : run.statistics) run.statisticsSizes.push_back(statistic.numel());
      if (!run.plan.training) kept.insert(kept.end(), run.statistics.begin(), run.statistics.end());
    } else {
      kept = {operands.tensors[0], operands.tensors[1], results.output, results.arena};
    }
    context->save_for_backward(kept);
    run.statistics.clear();
    run.paths.reset();
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
      torch::autograd::variable_list outputGradients) {
    TORCH_CHECK(!at::GradMode::is_enabled(), "darts::cell has no second derivatives: use the composite cell for createGraph");
    const auto saved = context->get_saved_variables();
    const auto capsule = context->saved_data["run"].toCapsule();
    const Run& run = static_cast<const Run&>(*capsule);
    const Plan& plan = run.plan;
    const size_t tensors = run.shapes.size();
    // One for each tensor, and nothing for the two arguments that follow them.
    torch::autograd::variable_list gradients(tensors + 2);
    const at::Tensor passed = outputGradients.size() > 1 ? outputGradients[1] : at::Tensor();
    if (!outputGradients[0].defined()) {
      gradients[1] = passed;
      return gradients;
    }

    const Results results = run.recompute ? computeAgain(run, saved) : Results{saved[2], saved[3]};
    BackwardCall call{};
    call.plan = &plan;
    call.threads = threadCount();
    const at::Tensor outputGradient = dense(outputGradients[0]);
    call.outputGradient = outputGradient.data_ptr<float>();
    const bool addsPassed = passed.defined() && plan.input[1].on() && context->needs_input_grad(1);
    const at::Tensor densePassed = addsPassed ? dense(passed) : at::Tensor();
    if (addsPassed) call.passedGradient = densePassed.data_ptr<float>();
    call.output = results.output.data_ptr<float>();
    for (size_t i = 0; i < kMixture; i++) call.inputs[i] = saved[i].data_ptr<float>();
    for (size_t i = 0; i < run.firstWeight(); i++) {
      if (i == kMixture || i == kBypass) gradients[i] = at::zeros(run.shapes[i], at::kFloat);
      else if (context->needs_input_grad(i)) gradients[i] = at::empty(run.shapes[i], at::kFloat);
      else continue;
      float* data = gradients[i].data_ptr<float>();
      (i < kMixture     ? call.inputGradients[i]
       : i == kMixture ? call.mixtureGradient
       : i == kBypass  ? call.bypassGradient
                       : call.givenGradients[run.givenTo[i - kGiven]]) = data;
    }

    std::vector<float*> weightGradients(tensors - run.firstWeight(), nullptr);
    for (size_t i = run.firstWeight(); i < tensors; i++) call.wantsWeights = call.wantsWeights || context->needs_input_grad(i);
    for (size_t i = run.firstWeight(); i < tensors && call.wantsWeights; i++) {
      gradients[i] = at::empty(run.shapes[i], at::kFloat);
      weightGradients[i - run.firstWeight()] = gradients[i].data_ptr<float>();
    }
    call.weightGradients = weightGradients.data();
    const at::Tensor scratch = emptyForNow(run.recompute, run.kernels->backwardFloats(plan, call.threads));
    call.arena = results.arena.data_ptr<float>();
    call.scratch = scratch.data_ptr<float>();
    run.kernels->backward(call);
    if (passed.defined() && !addsPassed && gradients[1].defined()) gradients[1].add_(passed);
    return gradients;
  }
};

// One more batch for the counters of the normalisations that are evaluated.
void countBatches(const Plan& plan, at::TensorList statistics) {
  const auto count = [&](NormPlan norm) {
    if (norm.statistics < 0) return;
    for (int i = 0; i < 3; i++) statistics[norm.statistics + i].unsafeGetTensorImpl()->bump_version();
    ++*statistics[norm.statistics + 2].data_ptr<int64_t>();
  };
  for (const InputPlan& input : plan.input) count(input.norm);
  for (int e = 0; e < plan.edges; e++)
    for (int norm = 0; norm < kNorms; norm++)
      if (plan.edge[e].on[kOperationOf[norm]]) count(plan.edge[e].norm[norm]);
}

// Arguments that differ from call to call: they must be checked each time, and their shapes are part of what is planned.
template <class Body>
void overVarying(const CellArguments& a, Body body) {
  for (const at::Tensor* tensor : {&a.states[0], &a.states[1], &a.mixture, &a.bypass, &a.paths}) body(*tensor);
  for (const at::Tensor& tensor : a.given) body(tensor);
}

// All that decides what an inference computes besides values, and how.
std::vector<int64_t> inferenceNumbers(const CellArguments& a, int64_t lanes) {
  int64_t eps;
  static_assert(sizeof eps == sizeof a.eps);
  std::memcpy(&eps, &a.eps, sizeof eps);
  std::vector<int64_t> numbers{lanes, threadCount(), a.channels, a.groups, a.nodes, a.reduction, a.halves, eps};
  const auto addList = [&](at::IntArrayRef list) {
    numbers.push_back(static_cast<int64_t>(list.size()));
    numbers.insert(numbers.end(), list.begin(), list.end());
  };
  for (const at::IntArrayRef& list : {a.inputs, a.edges, a.operations, a.concat, a.givenTo}) addList(list);
  overVarying(a, [&](const at::Tensor& tensor) {
    numbers.push_back(tensor.defined());
    if (tensor.defined()) addList(tensor.sizes());
  });
  return numbers;
}

bool areFloats(const CellArguments& a) {
  bool floats = true;
  overVarying(a, [&](const at::Tensor& tensor) {
    floats = floats && (!tensor.defined() || (tensor.device().is_cpu() && tensor.scalar_type() == at::kFloat && tensor.layout() == at::kStrided));
  });
  return floats;
}

std::shared_ptr<Prepared> prepare(const CellArguments& a, const Kernels& kernels) {
  auto made = std::make_shared<Prepared>();
  made->plan = makePlan(a, kernels.lanes);
  made->parameters = emptyFloats(kernels.parameterFloats(made->plan, false));
  made->arena = kernels.arenaFloats(made->plan, false);
  made->scratch = kernels.forwardFloats(made->plan, threadCount(), false);
  return made;
}

// Evaluation when no backward follows. A network's next image finds all that does not depend on it ready: for one image,
// planning took as long as a tenth of the arithmetic.
at::Tensor infer(const CellArguments& a, bool recompute) {
  const Kernels& kernels = selectKernels();
  const std::vector<int64_t> numbers = inferenceNumbers(a, kernels.lanes);
  const PreparedFor what{a.weights, a.statistics, numbers};
  std::shared_ptr<const Prepared> prepared = areFloats(a) ? findPrepared(what) : nullptr;
  const bool known = prepared != nullptr;
  if (!known) prepared = prepare(a, kernels);

  ForwardCall call{};
  call.plan = &prepared->plan;
  call.threads = threadCount();
  call.prepared = known;
  call.parameters = prepared->parameters.data_ptr<float>();
  std::vector<at::Tensor> held;
  const auto hold = [&](const at::Tensor& tensor) {
    held.push_back(tensor);
    return tensor.data_ptr<float>();
  };
  for (int i = 0; i < 2; i++) call.inputs[i] = hold(dense(a.states[i]));
  for (size_t i = 0; i < a.given.size(); i++) call.given[a.givenTo[i]] = hold(dense(a.given[i]));
  if (a.mixture.defined()) call.mixture = hold(a.mixture.contiguous());
  if (a.bypass.defined()) call.bypass = hold(a.bypass.contiguous());
  if (a.paths.defined()) call.paths = hold(a.paths.contiguous());
  std::vector<const float*> weights;
  std::vector<float*> statistics;
  if (!known || prepared->arena > 0) {
    for (const at::Tensor& weight : a.weights) weights.push_back(hold(weight.contiguous()));
    for (const at::Tensor& statistic : a.statistics) statistics.push_back(floatsOf(statistic));
  }
  call.weights = weights.data();
  call.statistics = statistics.data();
  const at::Tensor output = runForward(kernels, call, recompute, prepared->arena, prepared->scratch).output;
  if (!known) keepPrepared(what, std::move(prepared));
  return output;
}

bool needsGradient(const CellArguments& a) {
  bool needs = false;
  const auto add = [&](const at::Tensor& tensor) { needs = needs || (tensor.defined() && tensor.requires_grad()); };
  overVarying(a, add);
  for (const at::Tensor& weight : a.weights) add(weight);
  return needs;
}

std::tuple<at::Tensor, at::Tensor> cell(const at::Tensor& s0, const at::Tensor& s1, const c10::optional<at::Tensor>& mixture,
    const c10::optional<at::Tensor>& bypass, const c10::optional<at::Tensor>& paths, at::TensorList given,
    at::IntArrayRef givenTo, at::TensorList weights, at::TensorList statistics, int64_t channels, int64_t groups,
    int64_t nodes, bool reduction, at::IntArrayRef inputs, at::IntArrayRef edges, at::IntArrayRef operations,
    at::IntArrayRef concat, bool training, double momentum, double eps, bool recompute, bool halves) {
  const CellArguments arguments{{s0, s1}, mixture.value_or(at::Tensor()), bypass.value_or(at::Tensor()),
      paths.value_or(at::Tensor()), given, weights, statistics, givenTo, channels, groups, nodes,
      reduction, inputs, edges, operations, concat, training, halves, momentum, eps};
  const bool differentiable = at::GradMode::is_enabled() && needsGradient(arguments);
  if (!training && !differentiable) return {infer(arguments, recompute), at::Tensor()};
  const auto run = c10::make_intrusive<Run>();
  run->kernels = &selectKernels();
  run->recompute = recompute;
  run->plan = makePlan(arguments, run->kernels->lanes);
  run->statistics = statistics.vec();
  run->paths = arguments.paths;
  run->givenTo = givenTo.vec();
  const auto orNone = [](const at::Tensor& tensor) { return tensor.defined() ? tensor : at::empty({0}); };
  std::vector<at::Tensor> tensors{s0, s1, orNone(arguments.mixture), orNone(arguments.bypass)};
  tensors.reserve(tensors.size() + given.size() + weights.size());
  tensors.insert(tensors.end(), given.begin(), given.end());
  tensors.insert(tensors.end(), weights.begin(), weights.end());
  const torch::autograd::variable_list results = FusedCell::apply(at::TensorList(tensors), run, differentiable);
  if (training) countBatches(run->plan, statistics);
  return {results[0], results.size() > 1 ? results[1] : at::Tensor()};
}

// The bridge gives no strings to JavaScript: the build is known by its lanes, 16 (AVX-512), 8 (AVX2) or 4 (portable).
int64_t kernelLanes() { return selectKernels().lanes; }

}  // namespace

// A cell, and its second input for those who read that after it (undefined where it needs no gradient). All images are in
// blocks (see blocks.cc), in float32 on the CPU.
//   s0, s1      its inputs, in parts
//   mixture     weights of operations, any shape
//   bypass      the weight of each edge for the channels that its operations do not see, where there are groups
//   paths       a scale for each edge and image, [edges, N], where there are no groups
//   given       what the states in given_to start from, one part each
//   weights     those of the preprocessing, then of the operations, each as a state_dict lists them; so statistics, too:
//               running mean, running variance and counter of each normalisation
//   channels    of a state; groups: the operations see the first of so many groups of them (partial channels)
//   nodes       the states from 2 on; reduction: what leaves states 0 and 1 has stride 2
//   inputs      for each: channels of a part; how it becomes a state (Preprocess in cell.h); how that is normalised
//               (0 not, 1 without scale and shift, 2 with)
//   edges       for each: source and target
//   operations  for each that is evaluated: its edge, its number (Operation in cell.h), how it is normalised, and the index of
//               its weight in the mixture, or -1
//   concat      the states that are put out: the parts of the result, [outputs, N, blocks, H, W, lanes]
//   recompute   whether nothing but its arguments is kept for backward, which runs forward once more
//   halves      whether convolutions' outputs before their normalisations, and the gradients at the first ones of separable
//               convolutions, are stored as bfloat16: arithmetic, states and sums stay float32
TORCH_LIBRARY(darts, library) {
  library.def(
      "cell(Tensor s0, Tensor s1, Tensor? mixture, Tensor? bypass, Tensor? paths, Tensor[] given, int[] given_to, "
      "Tensor[] weights, Tensor[] statistics, int channels, int groups, int nodes, bool reduction, int[] inputs, "
      "int[] edges, int[] operations, int[] concat, bool training, float momentum=0.1, float eps=1e-05, bool recompute=False, bool halves=False) -> (Tensor, Tensor)",
      cell);
  library.def("kernel_lanes() -> int", kernelLanes);
  library.def("release_memory() -> int", [] {
    releasePrepared();
    return releaseMemory();
  });
}

}  // namespace darts::kernels
