// Mixed precision on one thread.
#pragma once

#include <c10/core/Device.h>
#include <c10/core/ScalarType.h>

namespace bitstill {

/// LibTorch's automatic mixed precision: bf16 with true, none at all with false, whatever held
/// before; what did is back when it ends.
class AutocastScope {
 public:
  AutocastScope(bool bf16, const c10::Device& device);
  ~AutocastScope();
  AutocastScope(const AutocastScope&) = delete;
  AutocastScope& operator=(const AutocastScope&) = delete;

 private:
  c10::DeviceType device_;
  bool before_;
  c10::ScalarType type_before_;
};

}  // namespace bitstill
