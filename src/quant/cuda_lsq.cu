// lsq_kernel.hpp on a GPU.
#include "cuda_buckets.cuh"
#include "cuda_sums.cuh"

namespace bitstill {
namespace {

constexpr int kThreads = 256;
constexpr int64_t kSpan = 2048;  // values of a block: few, since one step may serve a whole tensor

__global__ void quantize(LsqRun run, float qn, CudaOutputs outputs) {
  const int64_t begin = int64_t{blockIdx.x} * kSpan;
  const int64_t end = begin + kSpan < run.count ? begin + kSpan : run.count;
  for (int64_t i = begin + threadIdx.x; i < end; i += kThreads) {
    const int64_t b = i / run.bucket;
    const float value = run.masters[i], step = run.steps[b];
    if (!isfinite(value) || !is_good(step, 0, -qn, qn - 1)) report(b, outputs.bad);
    const float level = rintf(fminf(fmaxf(value / step, -qn), qn - 1));
    if (outputs.codes != nullptr) outputs.codes[i] = static_cast<uint8_t>(level + qn);
    if (outputs.shadows != nullptr) outputs.shadows[i] = level * step + 0.0f;  // never -0
  }
}

/// A block of threads a block of a bucket, whose gradients it sums and then changes. The last
/// bucket may be shorter than the others and have fewer blocks: the sums of the missing ones are
/// +0, which changes nothing.
__global__ void sum_steps(LsqRun run, int64_t blocks, float qn, float* gradients, float* sums) {
  __shared__ float terms[kChunk], lanes[kLanes];
  const int64_t number = blockIdx.x, b = number / blocks, start = b * run.bucket;
  const int64_t stop = start + run.bucket < run.count ? start + run.bucket : run.count;
  const BlockOf block = block_of(start, stop, number % blocks);
  const auto thread = static_cast<int>(threadIdx.x);
  // Of a short last bucket: the block before this one took the rest, or there is none.
  const bool missing = block.begin > start && stop - block.begin < kGradientBlock;
  if (missing || block.begin >= stop) {
    if (thread == 0) sums[number] = 0;
    return;
  }
  const float step = run.steps[b];
  float lane_sum = 0;
  for (int64_t begin = block.begin; begin < block.end; begin += kChunk) {
    const int64_t size = block.end - begin < kChunk ? block.end - begin : kChunk;
    __syncthreads();
    for (int64_t i = thread; i < size; i += kSumThreads) {
      const float t = run.masters[begin + i] / step, gradient = gradients[begin + i];
      const bool inside = t > -qn && t < qn - 1;
      terms[i] = gradient * (inside ? rintf(t) - t : t > 0 ? qn - 1 : -qn);
      if (!inside) gradients[begin + i] = 0;
    }
    __syncthreads();
    if (thread >= kLanes) continue;
    for (int64_t i = thread; i < size; i += kLanes) lane_sum += terms[i];
  }
  if (thread < kLanes) lanes[thread] = lane_sum;
  __syncthreads();
  if (thread == 0) sums[number] = sum_lanes(lanes);
}

float levels_below(const LsqRun& run) {
  return static_cast<float>(1 << (run.bits - 1));
}

}  // namespace

void cuda_quantize_lsq(const LsqRun& run, const CudaOutputs& outputs, void* stream) {
  if (run.count == 0) return;
  launch("learned steps", quantize, dim3(blocks_for(run.count, kSpan)), dim3(kThreads), stream, run,
         levels_below(run), outputs);
}

void cuda_lsq_gradient(const LsqRun& run, float* gradients, float* sums, float* step_gradients,
                       void* stream) {
  if (run.count == 0) return;
  const int64_t all = lsq_sums(run.count, run.bucket), blocks = lsq_blocks(run.bucket);
  launch("the gradient of steps", sum_steps, dim3(blocks_for(all, 1)), dim3(kSumThreads), stream,
         run, blocks, levels_below(run), gradients, sums);
  launch_add_sums(sums, blocks, all / blocks, 1, step_gradients, stream);
}

}  // namespace bitstill
