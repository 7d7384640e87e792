// The kernels of uniform_kernel.hpp, points_kernel.hpp and lsq_kernel.hpp on a GPU: equal bits.
// Known by plain types only, so callers need no CUDA. The kernels are compiled wherever nvcc is,
// but linked only with BITSTILL_CUDA; in a build without it every function but has_cuda_kernels
// throws Error(environment).
//
// All pointers, also those inside the runs, are to memory of the current device; `stream` is a
// cudaStream_t. Work is only enqueued: no function waits for the device. A launch that fails throws
// Error(environment).
#pragma once

#include <cstdint>

#include "bitstill/quant/lsq_kernel.hpp"
#include "bitstill/quant/points_kernel.hpp"

namespace bitstill {

/// Whether this build holds the kernels.
bool has_cuda_kernels();

/// What a quantization writes; null: not wanted.
struct CudaOutputs {
  float* shadows = nullptr;  // one each a value, as are the codes
  uint8_t* codes = nullptr;
  float* alpha = nullptr;  // one each a bucket; lsq: not written
  float* beta = nullptr;
  uint64_t* bad = nullptr;  // lowered to the first bad bucket; the caller sets it to all ones
};

/// Unlike on the CPU, buckets after a bad one are written too.
void cuda_quantize_uniform(const UniformRun& run, const CudaOutputs& outputs, void* stream);
void cuda_quantize_points(const PointsRun& run, const CudaOutputs& outputs, void* stream);
void cuda_quantize_lsq(const LsqRun& run, const CudaOutputs& outputs, void* stream);

/// As decode_run.
void cuda_decode(const CodedRun& run, float* out, void* stream);

/// Values of the flat buffers that no quantizer writes: copied, or zeroed.
struct CopyRange {
  int64_t begin, count;
  int64_t copied;  // 0: zeroed
};
void cuda_copy(const CopyRange* ranges, int64_t range_count, const float* masters, float* shadows,
               void* stream);

/// sums: as points_gradient; gradient: as add_blocks. The run's points and beta are not used.
void cuda_points_gradient(const CodedRun& run, int point_count, const float* gradients, float* sums,
                          float* gradient, void* stream);

/// As clipped_gradient (master_gradient.hpp).
void cuda_clip_gradient(const CodedRun& run, int point_count, const float* masters,
                        float* gradients, void* stream);

/// As lsq_gradient. sums: lsq_sums(count, bucket) floats of work space.
constexpr int64_t lsq_blocks(int64_t bucket) {
  return bucket < kGradientBlock ? 1 : bucket / kGradientBlock;
}
constexpr int64_t lsq_sums(int64_t count, int64_t bucket) {
  return (count + bucket - 1) / bucket * lsq_blocks(bucket);
}
void cuda_lsq_gradient(const LsqRun& run, float* gradients, float* sums, float* step_gradients,
                       void* stream);

}  // namespace bitstill
