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

}  // namespace bitstill
