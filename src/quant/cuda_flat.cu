// What a pass over flat buffers needs on a GPU besides quantizing: decoding, and what is copied.
#include "bitstill/quant/cuda_kernel.hpp"
#include "cuda_launch.cuh"

namespace bitstill {
namespace {

constexpr int kThreads = 256;
constexpr int64_t kSpan = 2048;  // values of a block

__global__ void decode(CodedRun run, float* out) {
  const int64_t begin = int64_t{blockIdx.x} * kSpan;
  const int64_t end = begin + kSpan < run.count ? begin + kSpan : run.count;
  for (int64_t i = begin + threadIdx.x; i < end; i += kThreads) {
    const int64_t b = i / run.bucket;
    out[i] = run.points[run.codes[i]] * run.alpha[b] + run.beta[b];
  }
}

/// A block of threads a range.
__global__ void copy(const CopyRange* ranges, const float* masters, float* shadows) {
  const CopyRange range = ranges[blockIdx.x];
  for (int64_t i = range.begin + threadIdx.x; i < range.begin + range.count; i += kThreads) {
    shadows[i] = range.copied != 0 ? masters[i] : 0;
  }
}

}  // namespace

bool has_cuda_kernels() {
  return true;
}

void cuda_decode(const CodedRun& run, float* out, void* stream) {
  if (run.count == 0) return;
  launch("decoding", decode, dim3(blocks_for(run.count, kSpan)), dim3(kThreads), stream, run, out);
}

void cuda_copy(const CopyRange* ranges, int64_t range_count, const float* masters, float* shadows,
               void* stream) {
  if (range_count == 0) return;
  launch("what is not quantized", copy, dim3(blocks_for(range_count, 1)), dim3(kThreads), stream,
         ranges, masters, shadows);
}

}  // namespace bitstill
