// A copy of a model file's tensors, for a writer that works while training goes on.
#pragma once

#include <ATen/core/Tensor.h>

#include "bitstill/store/model_file.hpp"

namespace bitstill {

/// The memory stays from copy to copy: pages that were never touched cost more than the copying.
class Snapshot {
 public:
  /// Copies file's plain tensors; what was copied before is lost. No packed ones.
  void take(const ModelFile& file);
  /// The copy; its tensors lie in the snapshot.
  const ModelFile& file() const { return copy_; }
  int64_t bytes() const { return bytes_; }

 private:
  at::Tensor memory_;
  int64_t bytes_ = 0;
  ModelFile copy_;
};

}  // namespace bitstill
