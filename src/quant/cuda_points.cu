// points_kernel.hpp on a GPU: the nearest point, and the gradient of the points.
#include "cuda_buckets.cuh"
#include "cuda_sums.cuh"

namespace bitstill {
namespace {

constexpr int kMostPoints = 256;

/// points_kernel.hpp's thresholds of the points: the largest floats <= the middles.
struct Nearest {
  float thresholds[kMostPoints], points[kMostPoints];
  uint8_t lowest[kMostPoints];  // index of an equal point
};
/// The first `width` of each, of which only `count` are points'.
__device__ void prepare(const float* points, int count, int width, Nearest& nearest) {
  const auto threads = static_cast<int>(blockDim.x * blockDim.y);
  const auto thread = static_cast<int>(threadIdx.y * blockDim.x + threadIdx.x);
  for (int j = thread; j < width; j += threads) {
    nearest.thresholds[j] = INFINITY;
    if (j >= count) continue;
    if (j + 1 < count) {
      const double middle = 0.5 * (static_cast<double>(points[j]) + points[j + 1]);
      nearest.thresholds[j] = __double2float_rd(middle);
    }
    int lowest = j;
    while (lowest > 0 && points[lowest - 1] == points[j]) --lowest;
    nearest.lowest[j] = static_cast<uint8_t>(lowest);
    nearest.points[j] = points[lowest];
  }
  __syncthreads();
}

/// width: the power of two >= point_count.
template <Length kLength>
__global__ void quantize(PointsRun run, int width, CudaOutputs outputs) {
  __shared__ Nearest nearest;
  prepare(run.points, run.point_count, width, nearest);
  each_bucket<kLength>(run, [&](const Share& share) {
    const ShareValues<kLength> values(run.masters, share, outputs);
    const DeviceScale scale =
        find_scale(run, values, run.points[0], run.points[run.point_count - 1], outputs.bad);
    put_scale(share, scale, outputs);
    const Divisor alpha(scale.alpha, run.alpha != nullptr);
    values.put(scale, outputs, [&](int64_t, float value) {
      const float x = alpha.of(value - scale.beta);
      int index = 0;
      for (int half = width / 2; half > 0; half /= 2) {
        if (x > nearest.thresholds[index + half - 1]) index += half;
      }
      return Quantized{nearest.lowest[index], nearest.points[index]};
    });
  });
}

/// One block of threads a block of values; thread (lane, group) adds the terms of its lane whose
/// code is `group` mod 16, so nobody shares a sum.
__global__ void sum_points(CodedRun run, int64_t piece, int point_count, const float* gradients,
                           float* sums) {
  constexpr int kGroups = kSumThreads / kLanes;
  __shared__ float lanes[kMostPoints * kLanes], terms[kChunk];
  __shared__ uint8_t codes[kChunk];
  const int64_t blocks = piece / kGradientBlock, number = blockIdx.x;
  const int64_t start = number / blocks * piece;
  const int64_t stop = start + piece < run.count ? start + piece : run.count;
  const BlockOf block = block_of(start, stop, number % blocks);
  const int thread = static_cast<int>(threadIdx.x), lane = thread % kLanes, group = thread / kLanes;
  for (int i = thread; i < point_count * kLanes; i += kSumThreads) lanes[i] = 0;
  for (int64_t begin = block.begin; begin < block.end; begin += kChunk) {
    const int64_t size = block.end - begin < kChunk ? block.end - begin : kChunk;
    __syncthreads();
    for (int64_t i = thread; i < size; i += kSumThreads) {
      terms[i] = run.alpha[(begin + i) / run.bucket] * gradients[begin + i];
      codes[i] = run.codes[begin + i];
    }
    __syncthreads();
    for (int64_t i = lane; i < size; i += kLanes) {
      const int code = codes[i];
      if (code % kGroups == group) lanes[code * kLanes + lane] += terms[i];
    }
  }
  __syncthreads();
  for (int j = thread; j < point_count; j += kSumThreads) {
    sums[number * point_count + j] = sum_lanes(lanes + j * kLanes);
  }
}

constexpr int kClipThreads = 256;
constexpr int64_t kClipSpan = 2048;  // values of a block

__global__ void clip(CodedRun run, int point_count, const float* masters, float* gradients) {
  const int64_t begin = int64_t{blockIdx.x} * kClipSpan;
  const int64_t end = begin + kClipSpan < run.count ? begin + kClipSpan : run.count;
  for (int64_t i = begin + threadIdx.x; i < end; i += kClipThreads) {
    const float alpha = run.alpha[i / run.bucket], beta = run.beta[i / run.bucket];
    const float low = run.points[0] * alpha + beta;
    const float high = run.points[point_count - 1] * alpha + beta;
    if (masters[i] < low || masters[i] > high) gradients[i] = 0;
  }
}

}  // namespace

void cuda_quantize_points(const PointsRun& run, const CudaOutputs& outputs, void* stream) {
  int width = 1;
  while (width < run.point_count) width *= 2;
  const BucketKernels<PointsRun, int, CudaOutputs> kernels{
      quantize<Length::held>, quantize<Length::warp>, quantize<Length::block>};
  launch_buckets("given points", kernels, run, stream, width, outputs);
}

void cuda_points_gradient(const CodedRun& run, int point_count, const float* gradients, float* sums,
                          float* gradient, void* stream) {
  const int64_t blocks = gradient_blocks(run.count, run.bucket);
  if (blocks > 0) {
    launch("the gradient of points", sum_points, dim3(blocks_for(blocks, 1)), dim3(kSumThreads),
           stream, run, gradient_piece(run.bucket), point_count, gradients, sums);
  }
  launch_add_sums(sums, blocks, 1, point_count, gradient, stream);
}

void cuda_clip_gradient(const CodedRun& run, int point_count, const float* masters,
                        float* gradients, void* stream) {
  if (run.count == 0) return;
  launch("the clipping of gradients", clip, dim3(blocks_for(run.count, kClipSpan)),
         dim3(kClipThreads), stream, run, point_count, masters, gradients);
}

}  // namespace bitstill
