// The kernels of uniform_kernel.hpp, points_kernel.hpp and lsq_kernel.hpp on a GPU: equal bits.
// They are compiled wherever nvcc is; linked only with BITSTILL_CUDA.
//
// All pointers, also those inside the runs, are to device memory; `stream` is a cudaStream_t. Work
// is only enqueued: no function waits for the device but first_bad_bucket. A launch that fails
// throws Error(environment).
#pragma once

#include <cstdint>

#include "bitstill/quant/lsq_kernel.hpp"
#include "bitstill/quant/points_kernel.hpp"

namespace bitstill {

/// What a quantization writes; null: not wanted.
struct CudaOutputs {
  float* shadows = nullptr;  // one each a value, as are the codes
  uint8_t* codes = nullptr;
  float* alpha = nullptr;  // one each a bucket
  float* beta = nullptr;
  uint64_t* bad = nullptr;  // lowered to the first bad bucket; the caller sets it to all ones
};

/// Unlike on the CPU, buckets after a bad one are written too.
void cuda_quantize_uniform(const UniformRun& run, const CudaOutputs& outputs, void* stream);
void cuda_quantize_points(const PointsRun& run, const CudaOutputs& outputs, void* stream);
void cuda_quantize_lsq(const LsqRun& run, const CudaOutputs& outputs, void* stream);

/// sums: as points_gradient; gradient: as add_blocks.
void cuda_points_gradient(const CodedRun& run, int point_count, const float* gradients, float* sums,
                          float* gradient, void* stream);

/// As lsq_gradient. sums: lsq_sums(count, bucket) floats of work space.
constexpr int64_t lsq_sums(int64_t count, int64_t bucket) {
  return (count + bucket - 1) / bucket * (bucket < kGradientBlock ? 1 : bucket / kGradientBlock);
}
void cuda_lsq_gradient(const LsqRun& run, float* gradients, float* sums, float* step_gradients,
                       void* stream);

/// Waits for the stream: the flag's value as the CPU's kernels return it, -1 for all ones.
int64_t first_bad_bucket(const uint64_t* bad, void* stream);

}  // namespace bitstill
