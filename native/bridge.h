// The bridge between JavaScript and libtorch: what its translation units share.
//
// Tensors are small integers in JavaScript: slots of one native table. The JavaScript handle owns the
// slot's lifetime; nothing here counts references across the border. Slot 0 is "no tensor".
#pragma once

#include <node_api.h>

#include <ATen/core/Tensor.h>
#include <c10/util/Exception.h>

#include <cstdint>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace darts {

using Slot = uint32_t;

// Every live tensor that JavaScript holds.
class TensorTable {
 public:
  Slot add(at::Tensor tensor);
  // Throws when the slot is free: a bug of the caller's, caught at the border.
  const at::Tensor& at(Slot slot) const;
  void free(Slot slot);
  uint32_t live() const { return live_; }

 private:
  std::vector<at::Tensor> slots_{1};
  std::vector<Slot> free_;
  uint32_t live_ = 0;
};

TensorTable& tensors();

// A mistake in how a function was called; becomes a JavaScript TypeError.
struct BadArgument : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// First line of what libtorch says, without its C++ backtrace.
std::string firstLine(const std::string& text);

void throwError(napi_env env, const std::string& message);
void throwTypeError(napi_env env, const std::string& message);

// Runs `body` and turns every C++ exception into a JavaScript one that starts with `what`.
// `context` adds what was being computed (the shapes); it is called only when something threw.
template <typename Body, typename Context>
napi_value guard(napi_env env, const char* what, Body&& body, Context&& context) {
  try {
    return body();
  } catch (const BadArgument& error) {
    throwTypeError(env, std::string(what) + ": " + error.what());
  } catch (const c10::Error& error) {
    throwError(env, std::string(what) + context() + ": " + firstLine(error.what_without_backtrace()));
  } catch (const std::exception& error) {
    throwError(env, std::string(what) + context() + ": " + firstLine(error.what()));
  } catch (...) {
    throwError(env, std::string(what) + context() + ": unknown C++ exception");
  }
  return nullptr;
}

template <typename Body>
napi_value guard(napi_env env, const char* what, Body&& body) {
  return guard(env, what, std::forward<Body>(body), [] { return std::string(); });
}

// JavaScript → C++. Each throws BadArgument naming what was expected.
double toDouble(napi_env env, napi_value value, const char* expected = "a number");
int64_t toInt(napi_env env, napi_value value, const char* expected = "an integer");
bool toBool(napi_env env, napi_value value, const char* expected = "true or false");
std::string toString(napi_env env, napi_value value, const char* expected = "a string");
bool isAbsent(napi_env env, napi_value value);
uint32_t arrayLength(napi_env env, napi_value value, const char* expected);
napi_value element(napi_env env, napi_value array, uint32_t index);
const at::Tensor& toTensor(napi_env env, napi_value value);
// A list of tensors as an array or, which is much quicker, a Uint32Array: a cell has a hundred of them.
std::vector<Slot> toSlots(napi_env env, napi_value value);
std::vector<at::Tensor> toTensors(napi_env env, napi_value value);
std::vector<int64_t> toInts(napi_env env, napi_value value);
at::ScalarType toScalarType(napi_env env, napi_value value);

// C++ → JavaScript.
napi_value fromDouble(napi_env env, double value);
napi_value fromBool(napi_env env, bool value);
napi_value fromString(napi_env env, const std::string& value);
napi_value fromInts(napi_env env, c10::IntArrayRef values);
// Takes a slot for `tensor`; an undefined tensor becomes 0.
napi_value fromTensor(napi_env env, at::Tensor tensor);
const char* scalarTypeName(at::ScalarType type);

// "[64, 16, 32, 32] float32", for messages.
std::string describe(const at::Tensor& tensor);

// The arguments of a call; at most N of them.
template <size_t N>
struct Arguments {
  Arguments(napi_env env, napi_callback_info info) { napi_get_cb_info(env, info, &count, values, nullptr, nullptr); }
  napi_value operator[](size_t i) const { return values[i]; }
  size_t count = N;
  napi_value values[N];
};

// One exported function.
struct Export {
  const char* name;
  napi_callback call;
};

std::vector<Export> operatorExports();
std::vector<Export> tensorExports();
std::vector<Export> runtimeExports();

}  // namespace darts
