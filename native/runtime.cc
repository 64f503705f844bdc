// Autograd, random generators, threads and devices: the few things that are not operators.
#include "bridge.h"
#include "kernels/threads.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/version.h>

namespace darts {
namespace {

// grad(outputs, inputs, gradOutputs, retainGraph, createGraph) → a slot for each input, 0 where it is unused
napi_value grad(napi_env env, napi_callback_info info) {
  return guard(env, "grad", [&]() -> napi_value {
    const Arguments<5> arguments(env, info);
    const auto outputs = toTensors(env, arguments[0]);
    const auto inputs = toTensors(env, arguments[1]);
    std::vector<at::Tensor> gradOutputs;
    if (!isAbsent(env, arguments[2])) gradOutputs = toTensors(env, arguments[2]);
    const auto gradients = torch::autograd::grad(outputs, inputs, gradOutputs, toBool(env, arguments[3]),
                                                 toBool(env, arguments[4]), /*allow_unused=*/true);
    napi_value result;
    napi_create_array_with_length(env, gradients.size(), &result);
    for (size_t i = 0; i < gradients.size(); i++) {
      napi_set_element(env, result, static_cast<uint32_t>(i), fromTensor(env, gradients[i]));
    }
    return result;
  });
}

// backward(outputs, gradOutputs, retainGraph, createGraph): accumulates into the leaves' gradients
napi_value backward(napi_env env, napi_callback_info info) {
  return guard(env, "backward", [&]() -> napi_value {
    const Arguments<4> arguments(env, info);
    const auto outputs = toTensors(env, arguments[0]);
    std::vector<at::Tensor> gradOutputs;
    if (!isAbsent(env, arguments[1])) gradOutputs = toTensors(env, arguments[1]);
    torch::autograd::backward(outputs, gradOutputs, toBool(env, arguments[2]), toBool(env, arguments[3]));
    return nullptr;
  });
}

// gradientOf(slot) → the slot of its accumulated gradient, 0 when there is none
napi_value gradientOf(napi_env env, napi_callback_info info) {
  return guard(env, "gradientOf", [&]() -> napi_value {
    const Arguments<1> arguments(env, info);
    return fromTensor(env, toTensor(env, arguments[0]).grad());
  });
}

napi_value clearGradient(napi_env env, napi_callback_info info) {
  return guard(env, "clearGradient", [&]() -> napi_value {
    const Arguments<1> arguments(env, info);
    toTensor(env, arguments[0]).mutable_grad().reset();
    return nullptr;
  });
}

napi_value setRequiresGrad(napi_env env, napi_callback_info info) {
  return guard(env, "setRequiresGrad", [&]() -> napi_value {
    const Arguments<2> arguments(env, info);
    toTensor(env, arguments[0]).requires_grad_(toBool(env, arguments[1]));
    return nullptr;
  });
}

napi_value requiresGrad(napi_env env, napi_callback_info info) {
  return guard(env, "requiresGrad", [&]() -> napi_value {
    const Arguments<1> arguments(env, info);
    return fromBool(env, toTensor(env, arguments[0]).requires_grad());
  });
}

// setGradMode(enabled) → what it was
napi_value setGradMode(napi_env env, napi_callback_info info) {
  return guard(env, "setGradMode", [&]() -> napi_value {
    const Arguments<1> arguments(env, info);
    const bool before = c10::GradMode::is_enabled();
    c10::GradMode::set_enabled(toBool(env, arguments[0]));
    return fromBool(env, before);
  });
}

at::Generator generatorOf(napi_env env, napi_value value) {
  return at::globalContext().defaultGenerator(c10::Device(toString(env, value)));
}

// seed(device, seed)
napi_value seed(napi_env env, napi_callback_info info) {
  return guard(env, "seed", [&]() -> napi_value {
    const Arguments<2> arguments(env, info);
    auto generator = generatorOf(env, arguments[0]);
    generator.set_current_seed(static_cast<uint64_t>(toInt(env, arguments[1])));
    return nullptr;
  });
}

// generatorState(device) → slot of a uint8 tensor
napi_value generatorState(napi_env env, napi_callback_info info) {
  return guard(env, "generatorState", [&]() -> napi_value {
    const Arguments<1> arguments(env, info);
    return fromTensor(env, generatorOf(env, arguments[0]).get_state());
  });
}

// setGeneratorState(device, slot)
napi_value setGeneratorState(napi_env env, napi_callback_info info) {
  return guard(env, "setGeneratorState", [&]() -> napi_value {
    const Arguments<2> arguments(env, info);
    auto generator = generatorOf(env, arguments[0]);
    generator.set_state(toTensor(env, arguments[1]));
    return nullptr;
  });
}

napi_value threads(napi_env env, napi_callback_info) {
  return guard(env, "threads", [&] { return fromDouble(env, at::get_num_threads()); });
}

// setThreads(of libtorch's operators, of the fused kernels)
napi_value setThreads(napi_env env, napi_callback_info info) {
  return guard(env, "setThreads", [&]() -> napi_value {
    const Arguments<2> arguments(env, info);
    // Told again, even the same number, OpenBLAS' threads spin for a while, on the cores that the kernels need.
    const int operators = static_cast<int>(toInt(env, arguments[0]));
    if (operators != at::get_num_threads()) at::set_num_threads(operators);
    kernels::setThreadCount(static_cast<int>(toInt(env, arguments[1])));
    return nullptr;
  });
}

// devices() → ["cpu", "cuda:0", …]
napi_value devices(napi_env env, napi_callback_info) {
  return guard(env, "devices", [&]() -> napi_value {
    std::vector<std::string> names{"cpu"};
    if (at::hasCUDA()) {
      const int count = at::detail::getCUDAHooks().getNumGPUs();
      for (int i = 0; i < count; i++) names.push_back("cuda:" + std::to_string(i));
    }
    napi_value result;
    napi_create_array_with_length(env, names.size(), &result);
    for (size_t i = 0; i < names.size(); i++) {
      napi_set_element(env, result, static_cast<uint32_t>(i), fromString(env, names[i]));
    }
    return result;
  });
}

// version() → of the libtorch that this was compiled against
napi_value version(napi_env env, napi_callback_info) {
  return fromString(env, TORCH_VERSION);
}

}  // namespace

std::vector<Export> runtimeExports() {
  return {{"grad", grad},
          {"backward", backward},
          {"gradientOf", gradientOf},
          {"clearGradient", clearGradient},
          {"setRequiresGrad", setRequiresGrad},
          {"requiresGrad", requiresGrad},
          {"setGradMode", setGradMode},
          {"seed", seed},
          {"generatorState", generatorState},
          {"setGeneratorState", setGeneratorState},
          {"threads", threads},
          {"setThreads", setThreads},
          {"devices", devices},
          {"version", version}};
}

}  // namespace darts
