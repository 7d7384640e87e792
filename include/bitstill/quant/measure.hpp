// How long the fused quantize kernel takes beside a copy and beside LibTorch's operations.
#pragma once

#include <c10/core/Device.h>

#include <cstdint>

namespace bitstill {

/// One kernel over `bytes` of masters (as many bytes are written).
struct KernelTime {
  double seconds_median = 0, seconds_min = 0;  // of one pass
  int64_t bytes = 0;
};

struct KernelTimes {
  KernelTime fused, copy, operations;  // our kernel; memcpy; the same in LibTorch operations
};

/// One tensor of `bytes` in buckets of 256, one thread; the three are measured in turn, `rounds`
/// times. Not thread-safe: sets LibTorch's thread count meanwhile.
/// The uniform quantizer, nearest.
KernelTimes measure_uniform(int64_t bytes, int64_t bits, int rounds = 9);
/// The nearest of `points` random points; and their gradient, assigned anew.
KernelTimes measure_points(int64_t bytes, int points, int rounds = 9);
KernelTimes measure_points_gradient(int64_t bytes, int points, int rounds = 9);

/// The kernels of a GPU (cuda_kernel.hpp) beside its own copy, on its default stream; `operations`
/// stays empty. Error(environment) in a build without them.
KernelTimes measure_uniform_on(const c10::Device& gpu, int64_t bytes, int64_t bits, int rounds = 9);
KernelTimes measure_points_on(const c10::Device& gpu, int64_t bytes, int points, int rounds = 9);

}  // namespace bitstill
