// Conversions between JavaScript values and C++ ones, the tensor table, and the module's table of exports.
#include "bridge.h"

#include <cmath>
#include <sstream>

namespace darts {

Slot TensorTable::add(at::Tensor tensor) {
  live_++;
  if (free_.empty()) {
    slots_.push_back(std::move(tensor));
    return static_cast<Slot>(slots_.size() - 1);
  }
  const Slot slot = free_.back();
  free_.pop_back();
  slots_[slot] = std::move(tensor);
  return slot;
}

const at::Tensor& TensorTable::at(Slot slot) const {
  if (slot >= slots_.size() || !slots_[slot].defined()) {
    throw BadArgument("expected a live tensor, got the freed or unknown handle " + std::to_string(slot));
  }
  return slots_[slot];
}

void TensorTable::free(Slot slot) {
  at(slot);
  slots_[slot].reset();
  free_.push_back(slot);
  live_--;
}

TensorTable& tensors() {
  // Never destroyed: at exit libtorch's own statics may be gone before ours.
  static TensorTable* table = new TensorTable();
  return *table;
}

std::string firstLine(const std::string& text) {
  return text.substr(0, text.find('\n'));
}

void throwError(napi_env env, const std::string& message) {
  napi_throw_error(env, nullptr, message.c_str());
}

void throwTypeError(napi_env env, const std::string& message) {
  napi_throw_type_error(env, nullptr, message.c_str());
}

bool isAbsent(napi_env env, napi_value value) {
  napi_valuetype type;
  napi_typeof(env, value, &type);
  return type == napi_undefined || type == napi_null;
}

double toDouble(napi_env env, napi_value value, const char* expected) {
  double number;
  if (napi_get_value_double(env, value, &number) != napi_ok) throw BadArgument(std::string("expected ") + expected);
  return number;
}

int64_t toInt(napi_env env, napi_value value, const char* expected) {
  const double number = toDouble(env, value, expected);
  if (number != std::trunc(number) || std::abs(number) > 9007199254740992.0) {
    throw BadArgument(std::string("expected ") + expected + ", got " + std::to_string(number));
  }
  return static_cast<int64_t>(number);
}

bool toBool(napi_env env, napi_value value, const char* expected) {
  bool flag;
  if (napi_get_value_bool(env, value, &flag) != napi_ok) throw BadArgument(std::string("expected ") + expected);
  return flag;
}

std::string toString(napi_env env, napi_value value, const char* expected) {
  size_t length;
  if (napi_get_value_string_utf8(env, value, nullptr, 0, &length) != napi_ok) {
    throw BadArgument(std::string("expected ") + expected);
  }
  std::string text(length, '\0');
  napi_get_value_string_utf8(env, value, text.data(), length + 1, &length);
  return text;
}

uint32_t arrayLength(napi_env env, napi_value value, const char* expected) {
  uint32_t length;
  if (napi_get_array_length(env, value, &length) != napi_ok) throw BadArgument(std::string("expected ") + expected);
  return length;
}

napi_value element(napi_env env, napi_value array, uint32_t index) {
  napi_value value;
  napi_get_element(env, array, index, &value);
  return value;
}

const at::Tensor& toTensor(napi_env env, napi_value value) {
  Slot slot;
  if (napi_get_value_uint32(env, value, &slot) != napi_ok) throw BadArgument("expected a tensor");
  return tensors().at(slot);
}

std::vector<Slot> toSlots(napi_env env, napi_value value) {
  napi_typedarray_type type;
  size_t count;
  void* data;
  if (napi_get_typedarray_info(env, value, &type, &count, &data, nullptr, nullptr) == napi_ok && type == napi_uint32_array) {
    const Slot* slots = static_cast<const Slot*>(data);
    return {slots, slots + count};
  }
  std::vector<Slot> slots(arrayLength(env, value, "an array of tensors"));
  for (uint32_t i = 0; i < slots.size(); i++) {
    if (napi_get_value_uint32(env, element(env, value, i), &slots[i]) != napi_ok) throw BadArgument("expected a tensor");
  }
  return slots;
}

std::vector<at::Tensor> toTensors(napi_env env, napi_value value) {
  std::vector<at::Tensor> list;
  for (const Slot slot : toSlots(env, value)) list.push_back(tensors().at(slot));
  return list;
}

std::vector<int64_t> toInts(napi_env env, napi_value value) {
  const uint32_t length = arrayLength(env, value, "an array of integers");
  std::vector<int64_t> list(length);
  for (uint32_t i = 0; i < length; i++) list[i] = toInt(env, element(env, value, i));
  return list;
}

namespace {
struct TypeName {
  const char* name;
  at::ScalarType type;
};
constexpr TypeName kTypeNames[] = {
    {"float32", at::kFloat}, {"float64", at::kDouble}, {"int64", at::kLong},        {"int32", at::kInt},
    {"uint8", at::kByte},    {"bool", at::kBool},      {"bfloat16", at::kBFloat16}, {"float16", at::kHalf},
    {"int16", at::kShort},   {"int8", at::kChar},
};
}  // namespace

at::ScalarType toScalarType(napi_env env, napi_value value) {
  const std::string name = toString(env, value, "the name of a dtype");
  for (const auto& entry : kTypeNames) {
    if (name == entry.name) return entry.type;
  }
  throw BadArgument("unknown dtype '" + name + "'");
}

const char* scalarTypeName(at::ScalarType type) {
  for (const auto& entry : kTypeNames) {
    if (type == entry.type) return entry.name;
  }
  throw BadArgument("a dtype that JavaScript has no name for");
}

napi_value fromDouble(napi_env env, double value) {
  napi_value result;
  napi_create_double(env, value, &result);
  return result;
}

napi_value fromBool(napi_env env, bool value) {
  napi_value result;
  napi_get_boolean(env, value, &result);
  return result;
}

napi_value fromString(napi_env env, const std::string& value) {
  napi_value result;
  napi_create_string_utf8(env, value.data(), value.size(), &result);
  return result;
}

napi_value fromInts(napi_env env, c10::IntArrayRef values) {
  napi_value result;
  napi_create_array_with_length(env, values.size(), &result);
  for (size_t i = 0; i < values.size(); i++) {
    napi_set_element(env, result, static_cast<uint32_t>(i), fromDouble(env, static_cast<double>(values[i])));
  }
  return result;
}

napi_value fromTensor(napi_env env, at::Tensor tensor) {
  napi_value result;
  napi_create_uint32(env, tensor.defined() ? tensors().add(std::move(tensor)) : 0, &result);
  return result;
}

std::string describe(const at::Tensor& tensor) {
  std::ostringstream text;
  text << tensor.sizes() << " " << tensor.scalar_type();
  if (!tensor.device().is_cpu()) text << " " << tensor.device();
  return text.str();
}

}  // namespace darts

NAPI_MODULE_INIT(/* napi_env env, napi_value exports */) {
  for (const auto& table : {darts::operatorExports(), darts::tensorExports(), darts::runtimeExports()}) {
    for (const auto& entry : table) {
      napi_value function;
      napi_create_function(env, entry.name, NAPI_AUTO_LENGTH, entry.call, nullptr, &function);
      napi_set_named_property(env, exports, entry.name, function);
    }
  }
  return exports;
}
