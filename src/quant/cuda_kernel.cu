// The quantizers' kernels for GPUs; compiled with --fmad=false, so that each operation is one
// rounding as on the CPU.
//
// Contents: scale of a bucket, uniform, points, LSQ, gradients, launches.
#include <cuda_runtime.h>

#include "bitstill/base/error.hpp"
#include "bitstill/base/text.hpp"
#include "bitstill/quant/cuda_kernel.hpp"

namespace bitstill {
namespace {

constexpr int kWarp = 32;
constexpr int kBucketsAtOnce = 8;         // short buckets: a warp each
constexpr int kLongBucketThreads = 1024;  // long ones: a block each
constexpr int64_t kShortBucket = 2048;
constexpr int kSumThreads = 256;
constexpr int64_t kChunk = 1024;  // terms of a block that are in shared memory at a time
constexpr int kLanes = 16;

struct Scale {
  float alpha, beta;
  bool good;
};

struct Range {
  float low, high;
  bool finite;
  __device__ void join(const Range& other) {
    low = fminf(low, other.low);
    high = fmaxf(high, other.high);
    finite = finite && other.finite;
  }
};

/// Threads that share a bucket: a warp, or a whole block of kLongBucketThreads.
template <bool kLong>
__device__ Range join_threads(Range range) {
  for (int half = kWarp / 2; half > 0; half /= 2) {
    range.join({__shfl_xor_sync(~0u, range.low, half), __shfl_xor_sync(~0u, range.high, half),
                __shfl_xor_sync(~0u, static_cast<int>(range.finite), half) != 0});
  }
  if constexpr (kLong) {
    __shared__ float lows[kWarp], highs[kWarp];
    __shared__ int finites[kWarp];
    const int warp = static_cast<int>(threadIdx.x) / kWarp;
    if (threadIdx.x % kWarp == 0) {
      lows[warp] = range.low;
      highs[warp] = range.high;
      finites[warp] = range.finite;
    }
    __syncthreads();
    for (int w = 0; w < kLongBucketThreads / kWarp; ++w) {
      range.join({lows[w], highs[w], finites[w] != 0});
    }
  }
  return range;
}

/// This thread's share of a run: values first, first + threads, ... below `end` of bucket b.
struct Share {
  int64_t b, begin, end;
  int first, threads;
};
template <bool kLong>
__device__ Share share_of(int64_t count, int64_t bucket) {
  const int64_t b =
      kLong ? int64_t{blockIdx.x} : int64_t{blockIdx.x} * kBucketsAtOnce + threadIdx.y;
  const int64_t begin = b * bucket;
  return {b, begin, begin + bucket < count ? begin + bucket : count, static_cast<int>(threadIdx.x),
          kLong ? kLongBucketThreads : kWarp};
}

/// The scale of a bucket, or the run's given one: alpha[b], beta[b] (null: 0). Reports bad ones.
template <bool kLong>
__device__ Scale find_scale(const float* values, const Share& share, const float* alpha,
                            const float* beta, float first, float last, uint64_t* bad) {
  Range range{INFINITY, -INFINITY, true};
  for (int64_t i = share.begin + share.first; i < share.end; i += share.threads) {
    range.join({values[i], values[i], isfinite(values[i]) != 0});
  }
  range = join_threads<kLong>(range);
  Scale scale{};
  if (alpha != nullptr) {
    scale = {alpha[share.b], beta == nullptr ? 0.0f : beta[share.b], false};
  } else {
    scale.beta = range.low + 0.0f;
    scale.alpha = range.high - scale.beta;
    if (scale.alpha < 1e-10f) scale.alpha = 1.0f;
  }
  scale.good = range.finite && scale.alpha > 0 && isfinite(scale.alpha) &&
               isfinite(first * scale.alpha + scale.beta) &&
               isfinite(last * scale.alpha + scale.beta);
  if (!scale.good && share.first == 0 && bad != nullptr) {
    atomicMin(reinterpret_cast<unsigned long long*>(bad), static_cast<unsigned long long>(share.b));
  }
  return scale;
}

__device__ void put_scale(const Share& share, Scale scale, const CudaOutputs& outputs) {
  if (share.first != 0) return;
  if (outputs.alpha != nullptr) outputs.alpha[share.b] = scale.alpha;
  if (outputs.beta != nullptr) outputs.beta[share.b] = scale.beta;
}

__device__ void put(int64_t i, int code, float point, Scale scale, const CudaOutputs& outputs) {
  if (outputs.codes != nullptr) outputs.codes[i] = static_cast<uint8_t>(code);
  if (outputs.shadows != nullptr) outputs.shadows[i] = point * scale.alpha + scale.beta;
}

/// What a run's random numbers are named by.
struct Random {
  bool used;
  uint32_t key_0, key_1;
  uint64_t step, first;
};

/// Number `index` of RandomStream(seed, rounding, step): Philox4x32-10.
__device__ float random_number(const Random& random, uint64_t index) {
  const uint64_t block = index / 4;
  uint32_t c[4] = {static_cast<uint32_t>(block), static_cast<uint32_t>(random.step),
                   static_cast<uint32_t>(random.step >> 32), static_cast<uint32_t>(block >> 32)};
  uint32_t key_0 = random.key_0, key_1 = random.key_1;
  for (int round = 0; round < 10; ++round) {
    const uint64_t first = uint64_t{0xD2511F53} * c[0], second = uint64_t{0xCD9E8D57} * c[2];
    c[0] = static_cast<uint32_t>(second >> 32) ^ c[1] ^ key_0;
    c[1] = static_cast<uint32_t>(second);
    c[2] = static_cast<uint32_t>(first >> 32) ^ c[3] ^ key_1;
    c[3] = static_cast<uint32_t>(first);
    key_0 += 0x9E3779B9;
    key_1 += 0xBB67AE85;
  }
  return static_cast<float>(c[index % 4] >> 8) * 0x1p-24f;
}

template <bool kLong>
__global__ void quantize_uniform_kernel(const float* masters, int64_t count, int64_t bucket,
                                        float last, Random random, const float* alpha,
                                        const float* beta, CudaOutputs outputs) {
  const Share share = share_of<kLong>(count, bucket);
  if (share.begin >= count) return;
  const Scale scale = find_scale<kLong>(masters, share, alpha, beta, 0, 1, outputs.bad);
  put_scale(share, scale, outputs);
  for (int64_t i = share.begin + share.first; i < share.end; i += share.threads) {
    const float x = (masters[i] - scale.beta) / scale.alpha;
    const float scaled = fminf(fmaxf(x * last, 0.0f), last) + 0.0f;
    float code = rintf(scaled);
    if (random.used) {
      code = floorf(scaled);
      if (random_number(random, random.first + static_cast<uint64_t>(i)) < scaled - code) code += 1;
    }
    put(i, static_cast<int>(code), code / last, scale, outputs);
  }
}

/// points_kernel.hpp's thresholds of the points: the largest floats <= the middles.
struct Nearest {
  float thresholds[256], points[256];
  uint8_t lowest[256];  // index of an equal point
};
__device__ void prepare(const float* points, int count, Nearest& nearest) {
  const int threads = static_cast<int>(blockDim.x * blockDim.y);
  for (int j = static_cast<int>(threadIdx.y * blockDim.x + threadIdx.x); j < 256; j += threads) {
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

template <bool kLong>
__global__ void quantize_points_kernel(const float* masters, int64_t count, int64_t bucket,
                                       const float* points, int point_count, int width,
                                       const float* alpha, const float* beta, CudaOutputs outputs) {
  __shared__ Nearest nearest;
  prepare(points, point_count, nearest);
  const Share share = share_of<kLong>(count, bucket);
  if (share.begin >= count) return;
  const Scale scale = find_scale<kLong>(masters, share, alpha, beta, points[0],
                                        points[point_count - 1], outputs.bad);
  put_scale(share, scale, outputs);
  for (int64_t i = share.begin + share.first; i < share.end; i += share.threads) {
    const float x = (masters[i] - scale.beta) / scale.alpha;
    int index = 0;
    for (int half = width / 2; half > 0; half /= 2) {
      if (x > nearest.thresholds[index + half - 1]) index += half;
    }
    put(i, nearest.lowest[index], nearest.points[index], scale, outputs);
  }
}

template <bool kLong>
__global__ void quantize_lsq_kernel(const float* masters, int64_t count, int64_t bucket, float qn,
                                    const float* steps, CudaOutputs outputs) {
  const Share share = share_of<kLong>(count, bucket);
  if (share.begin >= count) return;
  const Scale scale = find_scale<kLong>(masters, share, steps, nullptr, -qn, qn - 1, outputs.bad);
  put_scale(share, scale, outputs);
  for (int64_t i = share.begin + share.first; i < share.end; i += share.threads) {
    const float level = rintf(fminf(fmaxf(masters[i] / scale.alpha, -qn), qn - 1));
    put(i, static_cast<int>(level + qn), level, scale, outputs);
  }
}

/// points_kernel.hpp's blocks of a piece [start, end): block number k.
struct BlockOf {
  int64_t begin, end;
};
__device__ BlockOf block_of(int64_t start, int64_t end, int64_t k) {
  const int64_t begin = start + k * kGradientBlock;
  return {begin, end - begin < 2 * kGradientBlock ? end : begin + kGradientBlock};
}

/// Sixteen lanes added in halves, by one thread.
__device__ float add_lanes(float* lanes) {
  for (int half = kLanes / 2; half > 0; half /= 2) {
    for (int l = 0; l < half; ++l) lanes[l] += lanes[l + half];
  }
  return lanes[0];
}

/// One block of threads a block of values; thread (lane, group) adds the terms of its lane whose
/// code is `group` mod 16, so nobody shares a sum.
__global__ void points_sums_kernel(const uint8_t* codes, int64_t count, int64_t bucket,
                                   int64_t piece, const float* alpha, int point_count,
                                   const float* gradients, float* sums) {
  __shared__ float lanes[256 * kLanes], terms[kChunk];
  __shared__ uint8_t chunk_codes[kChunk];
  const int64_t blocks = piece / kGradientBlock, number = blockIdx.x;
  const int64_t start = number / blocks * piece;
  const BlockOf block =
      block_of(start, start + piece < count ? start + piece : count, number % blocks);
  const int thread = static_cast<int>(threadIdx.x), lane = thread % kLanes, group = thread / kLanes;
  for (int i = thread; i < point_count * kLanes; i += kSumThreads) lanes[i] = 0;
  for (int64_t begin = block.begin; begin < block.end; begin += kChunk) {
    const int64_t size = block.end - begin < kChunk ? block.end - begin : kChunk;
    __syncthreads();
    for (int64_t i = thread; i < size; i += kSumThreads) {
      terms[i] = alpha[(begin + i) / bucket] * gradients[begin + i];
      chunk_codes[i] = codes[begin + i];
    }
    __syncthreads();
    for (int64_t i = lane; i < size; i += kLanes) {
      const int code = chunk_codes[i];
      if (code % (kSumThreads / kLanes) == group) lanes[code * kLanes + lane] += terms[i];
    }
  }
  __syncthreads();
  for (int j = thread; j < point_count; j += kSumThreads) {
    sums[number * point_count + j] = add_lanes(lanes + j * kLanes);
  }
}

/// out[row width + j] = the sum of `blocks` sums of the row's, in double, in order.
__global__ void add_sums_kernel(const float* sums, int64_t blocks, int64_t rows, int width,
                                float* out) {
  const int64_t at = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (at >= rows * width) return;
  const int64_t row = at / width, j = at % width;
  double sum = 0;
  for (int64_t k = 0; k < blocks; ++k) sum += sums[(row * blocks + k) * width + j];
  out[at] = static_cast<float>(sum);
}

/// The last bucket may be shorter than the others and have fewer blocks: the sums of the missing
/// ones are +0, which changes nothing.
__global__ void lsq_sums_kernel(const float* masters, int64_t count, int64_t bucket, int64_t blocks,
                                float qn, const float* steps, float* gradients, float* sums) {
  __shared__ float terms[kChunk], lanes[kLanes];
  const int64_t number = blockIdx.x, b = number / blocks, start = b * bucket;
  const int64_t stop = start + bucket < count ? start + bucket : count;
  const BlockOf block = block_of(start, stop, number % blocks);
  const int thread = static_cast<int>(threadIdx.x);
  // Of a short last bucket: the block before this one took the rest, or there is none.
  const bool missing = block.begin > start && stop - block.begin < kGradientBlock;
  if (missing || block.begin >= stop) {
    if (thread == 0) sums[number] = 0;
    return;
  }
  const float step = steps[b];
  float lane_sum = 0;
  for (int64_t begin = block.begin; begin < block.end; begin += kChunk) {
    const int64_t size = block.end - begin < kChunk ? block.end - begin : kChunk;
    __syncthreads();
    for (int64_t i = thread; i < size; i += kSumThreads) {
      const float t = masters[begin + i] / step, gradient = gradients[begin + i];
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
  if (thread == 0) sums[number] = add_lanes(lanes);
}

void check(cudaError_t code, const char* what) {
  if (code == cudaSuccess) return;
  throw Error(ExitCode::environment, concat(what, " failed: ", cudaGetErrorString(code)));
}

unsigned blocks_for(int64_t items, int64_t each) {
  return static_cast<unsigned>((items + each - 1) / each);
}

/// Launches short(grid, threads) or long for a run's buckets.
template <class Run, class Short, class Long>
void launch_buckets(const Run& run, const Short& short_kernel, const Long& long_kernel) {
  if (run.count == 0) return;
  const int64_t buckets = (run.count + run.bucket - 1) / run.bucket;
  if (run.bucket <= kShortBucket) {
    short_kernel(dim3(blocks_for(buckets, kBucketsAtOnce)), dim3(kWarp, kBucketsAtOnce));
  } else {
    long_kernel(dim3(blocks_for(buckets, 1)), dim3(kLongBucketThreads));
  }
  check(cudaGetLastError(), "the launch of a quantization kernel");
}

}  // namespace

void cuda_quantize_uniform(const UniformRun& run, const CudaOutputs& outputs, void* stream) {
  const auto launch = [&](auto kernel) {
    return [&, kernel](dim3 grid, dim3 threads) {
      const Random random{run.stochastic, run.key[0], run.key[1], run.step, run.first};
      kernel<<<grid, threads, 0, static_cast<cudaStream_t>(stream)>>>(
          run.masters, run.count, run.bucket, static_cast<float>(run.points - 1), random, run.alpha,
          run.beta, outputs);
    };
  };
  launch_buckets(run, launch(quantize_uniform_kernel<false>),
                 launch(quantize_uniform_kernel<true>));
}

void cuda_quantize_points(const PointsRun& run, const CudaOutputs& outputs, void* stream) {
  int width = 1;  // a power of two
  while (width < run.point_count) width *= 2;
  const auto launch = [&](auto kernel) {
    return [&, kernel](dim3 grid, dim3 threads) {
      kernel<<<grid, threads, 0, static_cast<cudaStream_t>(stream)>>>(
          run.masters, run.count, run.bucket, run.points, run.point_count, width, run.alpha,
          run.beta, outputs);
    };
  };
  launch_buckets(run, launch(quantize_points_kernel<false>), launch(quantize_points_kernel<true>));
}

void cuda_quantize_lsq(const LsqRun& run, const CudaOutputs& outputs, void* stream) {
  const auto launch = [&](auto kernel) {
    return [&, kernel](dim3 grid, dim3 threads) {
      kernel<<<grid, threads, 0, static_cast<cudaStream_t>(stream)>>>(
          run.masters, run.count, run.bucket, static_cast<float>(1 << (run.bits - 1)), run.steps,
          outputs);
    };
  };
  launch_buckets(run, launch(quantize_lsq_kernel<false>), launch(quantize_lsq_kernel<true>));
}

void cuda_points_gradient(const CodedRun& run, int point_count, const float* gradients, float* sums,
                          float* gradient, void* stream) {
  const auto queue = static_cast<cudaStream_t>(stream);
  const int64_t blocks = gradient_blocks(run.count, run.bucket);
  if (blocks > 0) {
    points_sums_kernel<<<blocks_for(blocks, 1), kSumThreads, 0, queue>>>(
        run.codes, run.count, run.bucket, gradient_piece(run.bucket), run.alpha, point_count,
        gradients, sums);
  }
  add_sums_kernel<<<1, 256, 0, queue>>>(sums, blocks, 1, point_count, gradient);
  check(cudaGetLastError(), "the launch of the points' gradient");
}

void cuda_lsq_gradient(const LsqRun& run, float* gradients, float* sums, float* step_gradients,
                       void* stream) {
  if (run.count == 0) return;
  const auto queue = static_cast<cudaStream_t>(stream);
  const int64_t buckets = (run.count + run.bucket - 1) / run.bucket;
  const int64_t all = lsq_sums(run.count, run.bucket), blocks = all / buckets;
  lsq_sums_kernel<<<blocks_for(all, 1), kSumThreads, 0, queue>>>(
      run.masters, run.count, run.bucket, blocks, static_cast<float>(1 << (run.bits - 1)),
      run.steps, gradients, sums);
  add_sums_kernel<<<blocks_for(buckets, 256), 256, 0, queue>>>(sums, blocks, buckets, 1,
                                                               step_gradients);
  check(cudaGetLastError(), "the launch of LSQ's gradient");
}

int64_t first_bad_bucket(const uint64_t* bad, void* stream) {
  const auto queue = static_cast<cudaStream_t>(stream);
  uint64_t value = 0;
  check(cudaMemcpyAsync(&value, bad, sizeof(value), cudaMemcpyDeviceToHost, queue),
        "reading the flag of a quantization");
  check(cudaStreamSynchronize(queue), "a quantization on the device");
  return value == ~uint64_t{0} ? -1 : static_cast<int64_t>(value);
}

}  // namespace bitstill
