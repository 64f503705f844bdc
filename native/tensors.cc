// Making tensors from typed arrays, reading them back, freeing them, and what they are.
#include "bridge.h"

#include <ATen/Functions.h>

#include <cstring>

namespace darts {
namespace {

at::ScalarType typeOfArray(napi_typedarray_type type) {
  switch (type) {
    case napi_float32_array: return at::kFloat;
    case napi_float64_array: return at::kDouble;
    case napi_int32_array: return at::kInt;
    case napi_bigint64_array: return at::kLong;
    case napi_uint8_array: return at::kByte;
    case napi_int8_array: return at::kChar;
    case napi_int16_array: return at::kShort;
    case napi_uint16_array: return at::kHalf;  // raw bits
    default: throw BadArgument("expected a Float32Array, Float64Array, Int32Array, BigInt64Array or Uint8Array");
  }
}

// create(typedArray, shape, dtype, device) → slot. The bytes are copied; `dtype` names what they are.
napi_value create(napi_env env, napi_callback_info info) {
  return guard(env, "create", [&]() -> napi_value {
    const Arguments<4> arguments(env, info);
    napi_typedarray_type arrayType;
    size_t length;
    void* data;
    if (napi_get_typedarray_info(env, arguments[0], &arrayType, &length, &data, nullptr, nullptr) != napi_ok) {
      throw BadArgument("expected a typed array");
    }
    const auto shape = toInts(env, arguments[1]);
    const auto type = toScalarType(env, arguments[2]);
    const size_t bytes = length * at::elementSize(typeOfArray(arrayType));
    auto tensor = at::empty(shape, at::TensorOptions().dtype(type));
    if (static_cast<size_t>(tensor.nbytes()) != bytes) {
      throw BadArgument("got " + std::to_string(bytes) + " bytes for " + describe(tensor) + ", expected " +
                        std::to_string(tensor.nbytes()));
    }
    if (bytes > 0) std::memcpy(tensor.data_ptr(), data, bytes);
    const std::string device = toString(env, arguments[3]);
    return fromTensor(env, device == "cpu" ? tensor : tensor.to(c10::Device(device)));
  });
}

// read(slot) → ArrayBuffer with the elements in row-major order
napi_value read(napi_env env, napi_callback_info info) {
  return guard(env, "read", [&]() -> napi_value {
    const Arguments<1> arguments(env, info);
    const auto tensor = toTensor(env, arguments[0]).detach().to(at::kCPU).contiguous();
    napi_value result;
    void* data;
    if (napi_create_arraybuffer(env, tensor.nbytes(), &data, &result) != napi_ok) {
      throw BadArgument("no memory for an ArrayBuffer of " + std::to_string(tensor.nbytes()) + " bytes");
    }
    if (tensor.nbytes() > 0) std::memcpy(data, tensor.data_ptr(), tensor.nbytes());
    return result;
  });
}

// free(slots: Uint32Array, count)
napi_value free(napi_env env, napi_callback_info info) {
  return guard(env, "free", [&]() -> napi_value {
    const Arguments<2> arguments(env, info);
    napi_typedarray_type type;
    size_t length;
    void* data;
    if (napi_get_typedarray_info(env, arguments[0], &type, &length, &data, nullptr, nullptr) != napi_ok ||
        type != napi_uint32_array) {
      throw BadArgument("expected a Uint32Array of handles");
    }
    const int64_t count = toInt(env, arguments[1]);
    if (count < 0 || static_cast<size_t>(count) > length) throw BadArgument("more handles than the array holds");
    for (int64_t i = 0; i < count; i++) tensors().free(static_cast<Slot*>(data)[i]);
    return nullptr;
  });
}

// free1(slot): the frequent case, without an array
napi_value free1(napi_env env, napi_callback_info info) {
  return guard(env, "free", [&]() -> napi_value {
    const Arguments<1> arguments(env, info);
    Slot slot;
    if (napi_get_value_uint32(env, arguments[0], &slot) != napi_ok) throw BadArgument("expected a handle");
    tensors().free(slot);
    return nullptr;
  });
}

// alias(slot) → another slot of the same tensor (same storage, same place in the graph)
napi_value alias(napi_env env, napi_callback_info info) {
  return guard(env, "alias", [&]() -> napi_value {
    const Arguments<1> arguments(env, info);
    return fromTensor(env, toTensor(env, arguments[0]));
  });
}

napi_value shape(napi_env env, napi_callback_info info) {
  return guard(env, "shape", [&]() -> napi_value {
    const Arguments<1> arguments(env, info);
    return fromInts(env, toTensor(env, arguments[0]).sizes());
  });
}

napi_value dtype(napi_env env, napi_callback_info info) {
  return guard(env, "dtype", [&]() -> napi_value {
    const Arguments<1> arguments(env, info);
    return fromString(env, scalarTypeName(toTensor(env, arguments[0]).scalar_type()));
  });
}

napi_value device(napi_env env, napi_callback_info info) {
  return guard(env, "device", [&]() -> napi_value {
    const Arguments<1> arguments(env, info);
    return fromString(env, toTensor(env, arguments[0]).device().str());
  });
}

napi_value byteLength(napi_env env, napi_callback_info info) {
  return guard(env, "byteLength", [&]() -> napi_value {
    const Arguments<1> arguments(env, info);
    return fromDouble(env, static_cast<double>(toTensor(env, arguments[0]).nbytes()));
  });
}

// item(slot) → the one element, as a number
napi_value item(napi_env env, napi_callback_info info) {
  return guard(env, "item", [&]() -> napi_value {
    const Arguments<1> arguments(env, info);
    return fromDouble(env, toTensor(env, arguments[0]).item().toDouble());
  });
}

// liveTensors() → how many tensors JavaScript holds
napi_value liveTensors(napi_env env, napi_callback_info) {
  return fromDouble(env, tensors().live());
}

// adjustMemory(bytes): tells the garbage collector of memory that handles keep alive
napi_value adjustMemory(napi_env env, napi_callback_info info) {
  return guard(env, "adjustMemory", [&]() -> napi_value {
    const Arguments<1> arguments(env, info);
    int64_t total;
    napi_adjust_external_memory(env, toInt(env, arguments[0]), &total);
    return nullptr;
  });
}

}  // namespace

std::vector<Export> tensorExports() {
  return {{"create", create},     {"read", read},   {"free", free},           {"free1", free1},
          {"alias", alias},       {"shape", shape}, {"dtype", dtype},         {"device", device},
          {"byteLength", byteLength}, {"item", item}, {"liveTensors", liveTensors}, {"adjustMemory", adjustMemory}};
}

}  // namespace darts
