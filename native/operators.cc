// Every operator of libtorch by name: found in the dispatcher, its arguments converted by its schema,
// called boxed. A schema is walked once, when the operator is resolved; a call only follows its plan.
#include "bridge.h"

#include <ATen/core/dispatch/Dispatcher.h>

#include <cmath>
#include <sstream>

namespace darts {
namespace {

constexpr size_t kMaxArguments = 40;

enum class Kind : uint8_t {
  Tensor, TensorList, OptionalTensorList, Scalar, Int, Float, Bool, IntList, FloatList, BoolList,
  ScalarType, Layout, MemoryFormat, Device, Generator, String, Unsupported,
};

struct Parameter {
  Kind kind;
  bool optional;      // `T?`: null is a value
  bool hasDefault;
  int32_t size;       // of `int[2]`: a single number stands for all of them; 0 for no fixed size
  c10::IValue standard;  // the schema's default
  std::string name;
  std::string type;
};

struct Operator {
  std::string name;
  c10::OperatorHandle handle;
  std::vector<Parameter> parameters;
};

std::vector<Operator>& operators() {
  static auto* list = new std::vector<Operator>();
  return *list;
}

Kind kindOf(std::string type) {
  if (!type.empty() && type.back() == '?') type.pop_back();
  if (type == "Tensor") return Kind::Tensor;
  if (type == "Tensor[]") return Kind::TensorList;
  if (type == "Tensor?[]") return Kind::OptionalTensorList;
  if (type == "Scalar" || type == "number") return Kind::Scalar;
  if (type == "int") return Kind::Int;
  if (type == "float") return Kind::Float;
  if (type == "bool") return Kind::Bool;
  if (type == "int[]") return Kind::IntList;
  if (type == "float[]") return Kind::FloatList;
  if (type == "bool[]") return Kind::BoolList;
  if (type == "ScalarType") return Kind::ScalarType;
  if (type == "Layout") return Kind::Layout;
  if (type == "MemoryFormat") return Kind::MemoryFormat;
  if (type == "Device") return Kind::Device;
  if (type == "Generator") return Kind::Generator;
  if (type == "str") return Kind::String;
  return Kind::Unsupported;
}

Parameter planOf(const c10::Argument& argument) {
  std::string type = argument.real_type()->str();
  // From 2.0 on most integers are symbolic ones; JavaScript gives both alike, and messages say int.
  if (type.rfind("SymInt", 0) == 0) type = "int" + type.substr(6);
  Parameter parameter{kindOf(type),
                      !type.empty() && type.back() == '?',
                      argument.default_value().has_value(),
                      argument.N().value_or(0),
                      c10::IValue(),
                      argument.name(),
                      type};
  if (parameter.hasDefault) parameter.standard = *argument.default_value();
  return parameter;
}

c10::IValue scalarOf(napi_env env, napi_value value) {
  bool flag;
  if (napi_get_value_bool(env, value, &flag) == napi_ok) return flag;
  const double number = toDouble(env, value, "a number or a boolean");
  // A JavaScript integer is an integer scalar, as `2` is in Python: it must not turn int tensors into floats.
  if (number == std::trunc(number) && std::abs(number) < 9007199254740992.0) return static_cast<int64_t>(number);
  return number;
}

bool isTypedArray(napi_env env, napi_value value) {
  bool typed;
  return napi_is_typedarray(env, value, &typed) == napi_ok && typed;
}

c10::IValue memoryFormatOf(const std::string& name) {
  if (name == "contiguous") return static_cast<int64_t>(at::MemoryFormat::Contiguous);
  if (name == "channels_last") return static_cast<int64_t>(at::MemoryFormat::ChannelsLast);
  if (name == "preserve") return static_cast<int64_t>(at::MemoryFormat::Preserve);
  throw BadArgument("unknown memory format '" + name + "'; expected contiguous, channels_last or preserve");
}

c10::IValue convert(napi_env env, napi_value value, const Parameter& parameter) {
  switch (parameter.kind) {
    case Kind::Tensor:
      return toTensor(env, value);
    case Kind::TensorList: {
      const std::vector<Slot> slots = toSlots(env, value);
      c10::List<at::Tensor> list;
      list.reserve(slots.size());
      for (const Slot slot : slots) list.push_back(tensors().at(slot));
      return list;
    }
    case Kind::OptionalTensorList: {
      c10::List<c10::optional<at::Tensor>> list;
      if (isTypedArray(env, value)) {
        for (const Slot slot : toSlots(env, value)) list.push_back(c10::optional<at::Tensor>(tensors().at(slot)));
        return list;
      }
      const uint32_t length = arrayLength(env, value, "an array of tensors");
      for (uint32_t i = 0; i < length; i++) {
        const napi_value item = element(env, value, i);
        if (isAbsent(env, item)) list.push_back(c10::optional<at::Tensor>());
        else list.push_back(c10::optional<at::Tensor>(toTensor(env, item)));
      }
      return list;
    }
    case Kind::Scalar:
      return scalarOf(env, value);
    case Kind::Int:
      return toInt(env, value);
    case Kind::Float:
      return toDouble(env, value);
    case Kind::Bool:
      return toBool(env, value);
    case Kind::IntList: {
      double single;
      if (parameter.size > 0 && napi_get_value_double(env, value, &single) == napi_ok) {
        return c10::List<int64_t>(std::vector<int64_t>(parameter.size, toInt(env, value)));
      }
      return c10::List<int64_t>(toInts(env, value));
    }
    case Kind::FloatList: {
      const uint32_t length = arrayLength(env, value, "an array of numbers");
      c10::List<double> list;
      for (uint32_t i = 0; i < length; i++) list.push_back(toDouble(env, element(env, value, i)));
      return list;
    }
    case Kind::BoolList: {
      const uint32_t length = arrayLength(env, value, "an array of booleans");
      c10::List<bool> list;
      for (uint32_t i = 0; i < length; i++) list.push_back(toBool(env, element(env, value, i)));
      return list;
    }
    case Kind::ScalarType:
      return static_cast<int64_t>(toScalarType(env, value));
    case Kind::MemoryFormat:
      return memoryFormatOf(toString(env, value));
    case Kind::Device:
      return c10::Device(toString(env, value));
    case Kind::String:
      return toString(env, value);
    default:
      throw BadArgument("arguments of type " + parameter.type + " cannot be given from JavaScript");
  }
}

c10::IValue argumentOf(napi_env env, napi_value value, const Parameter& parameter) {
  // Tensors are by far the most frequent: a number needs no look at its type.
  Slot slot;
  if (parameter.kind == Kind::Tensor && napi_get_value_uint32(env, value, &slot) == napi_ok) {
    return tensors().at(slot);
  }
  napi_valuetype type;
  napi_typeof(env, value, &type);
  if (type == napi_undefined && parameter.hasDefault) return parameter.standard;
  if (type == napi_undefined || type == napi_null) {
    if (parameter.optional) return c10::IValue();
    throw BadArgument("argument '" + parameter.name + "' (" + parameter.type + ") is missing");
  }
  try {
    return convert(env, value, parameter);
  } catch (const BadArgument& error) {
    throw BadArgument("argument '" + parameter.name + "' (" + parameter.type + "): " + error.what());
  }
}

napi_value resultOf(napi_env env, const c10::IValue& value) {
  if (value.isTensor()) return fromTensor(env, value.toTensor());
  if (value.isDouble()) return fromDouble(env, value.toDouble());
  if (value.isInt()) return fromDouble(env, static_cast<double>(value.toInt()));
  if (value.isBool()) return fromBool(env, value.toBool());
  if (value.isTensorList()) {
    const auto list = value.toTensorVector();
    napi_value result;
    napi_create_array_with_length(env, list.size(), &result);
    for (size_t i = 0; i < list.size(); i++) {
      napi_set_element(env, result, static_cast<uint32_t>(i), fromTensor(env, list[i]));
    }
    return result;
  }
  if (value.isIntList()) return fromInts(env, value.toIntVector());
  if (value.isNone()) return nullptr;
  throw BadArgument("a result of type " + value.tagKind() + " cannot be given to JavaScript");
}

// resolve(name, overload) → [index, number of parameters, for each result whether it is a tensor]
napi_value resolve(napi_env env, napi_callback_info info) {
  return guard(env, "resolve", [&]() -> napi_value {
    const Arguments<2> arguments(env, info);
    const std::string name = toString(env, arguments[0]);
    const std::string overload = toString(env, arguments[1]);
    const auto handle = c10::Dispatcher::singleton().findSchema({name, overload == "default" ? "" : overload});
    if (!handle) throw BadArgument("libtorch has no operator " + name + "." + overload);
    Operator op{name + (overload == "default" ? "" : "." + overload), *handle, {}};
    for (const auto& argument : handle->schema().arguments()) op.parameters.push_back(planOf(argument));
    if (op.parameters.size() > kMaxArguments) throw BadArgument(op.name + " has too many arguments");

    napi_value isTensor;
    napi_create_array(env, &isTensor);
    for (uint32_t i = 0; i < handle->schema().returns().size(); i++) {
      const std::string type = handle->schema().returns()[i].real_type()->str();
      napi_set_element(env, isTensor, i, fromBool(env, type == "Tensor" || type == "Tensor[]"));
    }
    napi_value result;
    napi_create_array_with_length(env, 3, &result);
    napi_set_element(env, result, 0, fromDouble(env, static_cast<double>(operators().size())));
    napi_set_element(env, result, 1, fromDouble(env, static_cast<double>(op.parameters.size())));
    napi_set_element(env, result, 2, isTensor);
    operators().push_back(std::move(op));
    return result;
  });
}

// call(index, ...arguments) → a slot, a number, a boolean or an array of them
napi_value call(napi_env env, napi_callback_info info) {
  const Arguments<kMaxArguments + 1> arguments(env, info);
  uint32_t index = 0;
  napi_get_value_uint32(env, arguments[0], &index);
  if (index >= operators().size()) {
    throwTypeError(env, "call: unknown operator index");
    return nullptr;
  }
  const Operator& op = operators()[index];
  // The shapes of the tensors that were given, for the message of an error.
  const auto shapes = [&] {
    std::ostringstream text;
    for (size_t i = 0; i < op.parameters.size(); i++) {
      Slot slot;
      if (op.parameters[i].kind != Kind::Tensor) continue;
      if (napi_get_value_uint32(env, arguments[i + 1], &slot) != napi_ok) continue;
      text << (text.tellp() == 0 ? " (" : ", ") << op.parameters[i].name << " " << describe(tensors().at(slot));
    }
    return text.tellp() == 0 ? std::string() : text.str() + ")";
  };
  return guard(env, op.name.c_str(), [&]() -> napi_value {
    torch::jit::Stack stack;
    stack.reserve(op.parameters.size());
    for (size_t i = 0; i < op.parameters.size(); i++) {
      stack.push_back(argumentOf(env, arguments[i + 1], op.parameters[i]));
    }
    op.handle.callBoxed(&stack);
    if (stack.size() == 1) return resultOf(env, stack[0]);
    napi_value result;
    napi_create_array_with_length(env, stack.size(), &result);
    for (size_t i = 0; i < stack.size(); i++) {
      napi_set_element(env, result, static_cast<uint32_t>(i), resultOf(env, stack[i]));
    }
    return result;
  }, shapes);
}

// schemas() → the text of every operator's schema, to generate declarations from
napi_value schemas(napi_env env, napi_callback_info) {
  return guard(env, "schemas", [&]() -> napi_value {
    napi_value result;
    napi_create_array(env, &result);
    uint32_t count = 0;
    for (const auto& name : c10::Dispatcher::singleton().getAllOpNames()) {
      const auto handle = c10::Dispatcher::singleton().findSchema(name);
      if (!handle) continue;
      std::ostringstream text;
      text << handle->schema();
      napi_set_element(env, result, count++, fromString(env, text.str()));
    }
    return result;
  });
}

}  // namespace

std::vector<Export> operatorExports() {
  return {{"resolve", resolve}, {"call", call}, {"schemas", schemas}};
}

}  // namespace darts
