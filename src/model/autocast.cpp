#include "bitstill/model/autocast.hpp"

#include <ATen/autocast_mode.h>

namespace bitstill {

AutocastScope::AutocastScope(bool bf16, const c10::Device& device)
    : device_(device.type()),
      before_(at::autocast::is_autocast_enabled(device_)),
      type_before_(at::autocast::get_autocast_dtype(device_)) {
  at::autocast::set_autocast_enabled(device_, bf16);
  if (bf16) at::autocast::set_autocast_dtype(device_, at::kBFloat16);
}

AutocastScope::~AutocastScope() {
  at::autocast::set_autocast_enabled(device_, before_);
  at::autocast::set_autocast_dtype(device_, type_before_);
  at::autocast::clear_cache();  // the weights change before the next step
}

}  // namespace bitstill
