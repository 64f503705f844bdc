#include "prepared.h"

#include <iterator>
#include <mutex>
#include <unordered_map>
#include <utility>

namespace darts::kernels {
namespace {

struct Kept {
  PreparedKey key;
  at::Tensor memory;
};

struct Cache {
  std::mutex mutex;
  std::unordered_map<const c10::TensorImpl*, Kept> kept;  // by the key's first tensor
};

Cache& cache() {
  // Never destroyed: libtorch may be gone before the statics of this library.
  static Cache* one = new Cache();
  return *one;
}

}  // namespace

PreparedKey::PreparedKey(const std::vector<at::Tensor>& tensors, std::vector<int64_t> numbers) : numbers_(std::move(numbers)) {
  tensors_.reserve(tensors.size());
  for (const at::Tensor& tensor : tensors)
    tensors_.push_back({c10::weak_intrusive_ptr<c10::TensorImpl>(tensor.getIntrusivePtr()), tensor.unsafeGetTensorImpl(),
                        tensor.data_ptr(), tensor.unsafeGetTensorImpl()->version_counter().current_version()});
}

bool PreparedKey::operator==(const PreparedKey& other) const {
  if (numbers_ != other.numbers_ || tensors_.size() != other.tensors_.size()) return false;
  for (size_t i = 0; i < tensors_.size(); i++) {
    const Seen &a = tensors_[i], &b = other.tensors_[i];
    if (a.identity != b.identity || a.data != b.data || a.version != b.version) return false;
  }
  return true;
}

bool PreparedKey::expired() const {
  for (const Seen& tensor : tensors_)
    if (tensor.held.expired()) return true;
  return false;
}

at::Tensor findPrepared(const PreparedKey& key) {
  std::lock_guard<std::mutex> lock(cache().mutex);
  const auto found = cache().kept.find(key.first());
  return found != cache().kept.end() && found->second.key == key ? found->second.memory : at::Tensor();
}

void keepPrepared(PreparedKey key, at::Tensor memory) {
  std::lock_guard<std::mutex> lock(cache().mutex);
  auto& kept = cache().kept;
  for (auto it = kept.begin(); it != kept.end();) it = it->second.key.expired() ? kept.erase(it) : std::next(it);
  const c10::TensorImpl* first = key.first();
  kept.erase(first);
  kept.emplace(first, Kept{std::move(key), std::move(memory)});
}

void releasePrepared() {
  std::lock_guard<std::mutex> lock(cache().mutex);
  cache().kept.clear();
}

}  // namespace darts::kernels
