#include <ATen/autocast_mode.h>

#include "bitstill/train/step.hpp"

namespace bitstill {

bool use_bf16(TrainPrecision precision, const at::Device& device) {
  if (precision != TrainPrecision::automatic) return precision == TrainPrecision::bf16;
  if (!device.is_cpu()) return true;
#if defined(__x86_64__)
  return __builtin_cpu_supports("avx512bf16") != 0;
#else
  return false;
#endif
}

AutocastScope::AutocastScope(bool bf16, const at::Device& device) : active_(bf16), device_(device) {
  if (!active_) return;
  at::autocast::set_autocast_enabled(device_.type(), true);
  at::autocast::set_autocast_dtype(device_.type(), at::kBFloat16);
}

AutocastScope::~AutocastScope() {
  if (!active_) return;
  at::autocast::set_autocast_enabled(device_.type(), false);
  at::autocast::clear_cache();  // the weights change before the next step
}

}  // namespace bitstill
