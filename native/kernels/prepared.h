// What inference makes of a cell's weights and running statistics, kept for the next call with the same ones.
#pragma once

#include "cell.h"

#include <ATen/core/Tensor.h>

#include <vector>

namespace darts::kernels {

// What packed weights depend on: the tensors as they are now, and how the plan reads them.
class PreparedKey {
 public:
  PreparedKey(const std::vector<at::Tensor>& tensors, std::vector<int64_t> numbers);

  bool operator==(const PreparedKey& other) const;
  // Whether a tensor of it has been freed.
  bool expired() const;
  // By what keys are found: of keys with the same one only the last is kept.
  const c10::TensorImpl* first() const { return tensors_.empty() ? nullptr : tensors_[0].identity; }

 private:
  // Held weakly: as long as it is, no other tensor can have the same address.
  struct Seen {
    c10::weak_intrusive_ptr<c10::TensorImpl> held;
    const c10::TensorImpl* identity;
    const void* data;
    uint32_t version;
  };
  std::vector<Seen> tensors_;
  std::vector<int64_t> numbers_;
};

// What was kept for an equal key; undefined where nothing was.
at::Tensor findPrepared(const PreparedKey& key);

// Keeps it, and frees what is kept for tensors that are freed.
void keepPrepared(PreparedKey key, at::Tensor memory);

// Frees all that is kept.
void releasePrepared();

}  // namespace darts::kernels
