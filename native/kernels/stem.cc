// darts::stem, the layer before the first cell as an operator of libtorch with autograd.
#include "cell.h"
#include "memory.h"
#include "threads.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

namespace darts::kernels {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

void checkFloats(const at::Tensor& tensor, const char* name, at::IntArrayRef shape) {
  TORCH_CHECK(tensor.device().is_cpu() && tensor.scalar_type() == at::kFloat && tensor.layout() == at::kStrided, "darts::stem: ", name,
              " is ", tensor.scalar_type(), " on ", tensor.device(), ", expected float32 on the cpu");
  TORCH_CHECK(tensor.sizes() == shape, "darts::stem: ", name, " has shape ", tensor.sizes(), ", expected ", shape);
}

// An argument that is not there has no elements: an autograd function takes no undefined tensors.
const float* floatsOrNull(const at::Tensor& tensor) { return tensor.numel() > 0 ? tensor.data_ptr<float>() : nullptr; }

// What both passes are called with; images and weights are contiguous.
StemCall callOf(const at::Tensor& images, const at::Tensor& weight, const at::Tensor& scale, const at::Tensor& shift, bool training) {
  StemCall call{};
  call.images = static_cast<int>(images.size(0));
  call.inChannels = static_cast<int>(images.size(1));
  call.channels = static_cast<int>(weight.size(0));
  call.height = static_cast<int>(images.size(2));
  call.width = static_cast<int>(images.size(3));
  call.threads = threadCount();
  call.training = training;
  call.input = images.data_ptr<float>();
  call.weight = weight.data_ptr<float>();
  call.scale = floatsOrNull(scale);
  call.shift = floatsOrNull(shift);
  return call;
}

// Runs a pass in memory that it gives back.
void runStem(const Kernels& kernels, StemCall& call, bool backward) {
  const at::Tensor scratch = at::empty({static_cast<int64_t>(kernels.stemFloats(call, backward))}, at::kFloat);
  call.scratch = scratch.data_ptr<float>();
  (backward ? kernels.stemBackward : kernels.stemForward)(call);
}

class FusedStem : public torch::autograd::Function<FusedStem> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& givenImages, const at::Tensor& givenWeight,
      const at::Tensor& scale, const at::Tensor& shift, const at::Tensor& runningMean, const at::Tensor& runningVariance, bool training,
      double momentum, double eps) {
    const Kernels& kernels = selectKernels();
    const at::Tensor images = givenImages.contiguous(), weight = givenWeight.contiguous();
    StemCall call = callOf(images, weight, scale, shift, training);
    const int64_t lanes = kernels.lanes, blocks = (call.channels + lanes - 1) / lanes;
    const at::Tensor output = at::empty({1, call.images, blocks, call.height, call.width, lanes}, at::kFloat);
    const at::Tensor norms = at::empty({2, blocks * lanes}, at::kFloat);
    call.eps = eps;
    call.momentum = momentum;
    call.runningMean = runningMean.data_ptr<float>();
    call.runningVariance = runningVariance.data_ptr<float>();
    call.norms = norms.data_ptr<float>();
    call.output = output.data_ptr<float>();
    runStem(kernels, call, false);
    context->save_for_backward({images, weight, scale, shift, norms});
    context->saved_data["training"] = training;
    return output;
  }

  static variable_list backward(AutogradContext* context, variable_list outputGradients) {
    TORCH_CHECK(!at::GradMode::is_enabled(), "darts::stem has no second derivatives: use libtorch's layers for createGraph");
    variable_list gradients(9);
    if (!outputGradients[0].defined()) return gradients;
    const auto saved = context->get_saved_variables();
    const at::Tensor &images = saved[0], &weight = saved[1], &scale = saved[2], &shift = saved[3], &norms = saved[4];
    const at::Tensor outputGradient = dense(outputGradients[0]);
    StemCall call = callOf(images, weight, scale, shift, context->saved_data["training"].toBool());
    call.norms = norms.data_ptr<float>();
    call.outputGradient = outputGradient.data_ptr<float>();
    const auto makeGradient = [&](size_t i, const at::Tensor& of) {
      if (of.numel() == 0) return static_cast<float*>(nullptr);
      gradients[i] = at::empty(of.sizes(), at::kFloat);
      return gradients[i].data_ptr<float>();
    };
    call.weightGradient = makeGradient(1, weight);
    call.scaleGradient = makeGradient(2, scale);
    call.shiftGradient = makeGradient(3, shift);
    runStem(selectKernels(), call, true);
    return gradients;
  }
};

at::Tensor stem(const at::Tensor& images, const at::Tensor& weight, const c10::optional<at::Tensor>& scale,
    const c10::optional<at::Tensor>& shift, const at::Tensor& runningMean, const at::Tensor& runningVariance,
    const at::Tensor& counter, bool training, double momentum, double eps) {
  TORCH_CHECK(images.dim() == 4 && images.numel() > 0, "darts::stem: images have shape ", images.sizes(), ", expected [N, channels, H, W]");
  TORCH_CHECK(weight.dim() == 4 && weight.size(0) > 0, "darts::stem: the weight has shape ", weight.sizes(), ", expected [channels, ",
              images.size(1), ", 3, 3]");
  const int64_t channels = weight.size(0);
  checkFloats(images, "images", images.sizes());
  checkFloats(weight, "weight", {channels, images.size(1), 3, 3});
  TORCH_CHECK(channels < (1 << 16) && images.size(0) < (1 << 24) && images.size(1) * (images.size(2) + 2) * (images.size(3) + 2) < (1 << 24),
              "darts::stem: images of shape ", images.sizes(), " are too large");
  TORCH_CHECK(!images.requires_grad(), "darts::stem: got images that need a gradient, which it does not make: use libtorch's layers");
  TORCH_CHECK(scale.has_value() == shift.has_value(), "darts::stem: got one of scale and shift, expected both or neither");
  if (scale) checkFloats(*scale, "scale", {channels});
  if (shift) checkFloats(*shift, "shift", {channels});
  for (const at::Tensor* statistic : {&runningMean, &runningVariance}) {
    checkFloats(*statistic, "running statistic", {channels});
    TORCH_CHECK(statistic->is_contiguous(), "darts::stem: a running statistic is not contiguous");
  }
  TORCH_CHECK(counter.device().is_cpu() && counter.scalar_type() == at::kLong && counter.dim() == 0,
              "darts::stem: got no counter of batches (a scalar of int64)");
  TORCH_CHECK(!training || images.size(0) * images.size(2) * images.size(3) > 1,
              "darts::stem: batch statistics need more than one value per channel, got images ", images.sizes());
  const auto orNone = [](const c10::optional<at::Tensor>& tensor) { return tensor ? tensor->contiguous() : at::empty({0}); };
  const at::Tensor output =
      FusedStem::apply(images, weight, orNone(scale), orNone(shift), runningMean, runningVariance, training, momentum, eps);
  if (training) {
    for (const at::Tensor* changed : {&runningMean, &runningVariance, &counter}) changed->unsafeGetTensorImpl()->bump_version();
    ++*counter.data_ptr<int64_t>();
  }
  return output;
}

}  // namespace

// Images [N, planes, H, W], which get no gradient → normalised convolution in blocks, [1, N, blocks, H, W, lanes].
//   weight      [channels, planes, 3, 3], stride 1, padded by one pixel of zeros; scale, shift: the normalisation's, or neither
//   counter     of batches; moves with the running statistics, in training
TORCH_LIBRARY_FRAGMENT(darts, library) {
  library.def(
      "stem(Tensor images, Tensor weight, Tensor? scale, Tensor? shift, Tensor running_mean, Tensor running_variance, Tensor counter, "
      "bool training, float momentum=0.1, float eps=1e-05) -> Tensor",
      stem);
}

}  // namespace darts::kernels
