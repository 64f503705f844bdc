#include "prepared.h"

#include <iterator>
#include <mutex>
#include <unordered_map>
#include <utility>

namespace darts::kernels {
namespace {

uint32_t versionOf(const at::Tensor& tensor) { return tensor.unsafeGetTensorImpl()->version_counter().current_version(); }

// A tensor as it was. Held weakly: until it is let go, no other tensor can have its address.
struct Seen {
  c10::weak_intrusive_ptr<c10::TensorImpl> held;
  const c10::TensorImpl* identity;
  const void* data;
  uint32_t version;

  explicit Seen(const at::Tensor& tensor)
      : held(tensor.getIntrusivePtr()), identity(tensor.unsafeGetTensorImpl()), data(tensor.data_ptr()), version(versionOf(tensor)) {}

  bool is(const at::Tensor& tensor) const {
    return identity == tensor.unsafeGetTensorImpl() && data == tensor.data_ptr() && version == versionOf(tensor);
  }
};

struct Kept {
  std::vector<Seen> tensors;
  std::vector<int64_t> numbers;
  std::shared_ptr<const Prepared> made;

  bool isFor(const PreparedFor& what) const {
    const size_t weights = what.weights.size();
    if (tensors.size() != weights + what.statistics.size() || numbers != what.numbers) return false;
    for (size_t i = 0; i < tensors.size(); i++)
      if (!tensors[i].is(i < weights ? what.weights[i] : what.statistics[i - weights])) return false;
    return true;
  }

  bool expired() const {
    for (const Seen& tensor : tensors)
      if (tensor.held.expired()) return true;
    return false;
  }
};

struct Cache {
  std::mutex mutex;
  std::unordered_map<const c10::TensorImpl*, Kept> kept;  // by the first tensor
};

Cache& cache() {
  // Never destroyed: libtorch may be gone before the statics of this library.
  static Cache* one = new Cache();
  return *one;
}

const c10::TensorImpl* firstOf(const PreparedFor& what) {
  if (!what.weights.empty()) return what.weights[0].unsafeGetTensorImpl();
  return what.statistics.empty() ? nullptr : what.statistics[0].unsafeGetTensorImpl();
}

}  // namespace

std::shared_ptr<const Prepared> findPrepared(const PreparedFor& what) {
  std::lock_guard<std::mutex> lock(cache().mutex);
  const auto found = cache().kept.find(firstOf(what));
  return found != cache().kept.end() && found->second.isFor(what) ? found->second.made : nullptr;
}

void keepPrepared(const PreparedFor& what, std::shared_ptr<const Prepared> made) {
  Kept newest{{}, what.numbers, std::move(made)};
  newest.tensors.reserve(what.weights.size() + what.statistics.size());
  for (const at::TensorList& list : {what.weights, what.statistics})
    for (const at::Tensor& tensor : list) newest.tensors.emplace_back(tensor);
  std::lock_guard<std::mutex> lock(cache().mutex);
  auto& kept = cache().kept;
  for (auto it = kept.begin(); it != kept.end();) it = it->second.expired() ? kept.erase(it) : std::next(it);
  kept.erase(firstOf(what));
  kept.emplace(firstOf(what), std::move(newest));
}

void releasePrepared() {
  std::lock_guard<std::mutex> lock(cache().mutex);
  cache().kept.clear();
}

}  // namespace darts::kernels
