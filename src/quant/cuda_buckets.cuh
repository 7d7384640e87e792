// Device code that the quantizations with a scale a bucket share: threads of a bucket, its range
// and scale, what is written.
#pragma once

#include <cmath>
#include <cstdint>

#include "bitstill/quant/cuda_kernel.hpp"
#include "cuda_launch.cuh"

namespace bitstill {

constexpr int kWarp = 32;
constexpr int kBucketsAtOnce = 8;         // short buckets: a warp each
constexpr int kLongBucketThreads = 1024;  // long ones: a block each
constexpr int64_t kShortBucket = 2048;

struct DeviceScale {
  float alpha, beta;
  bool good;
};

struct ValueRange {
  float low, high;
  bool finite;
  __device__ void join(const ValueRange& other) {
    low = fminf(low, other.low);
    high = fmaxf(high, other.high);
    finite = finite && other.finite;
  }
};

/// Over the threads that share a bucket: a warp, or a whole block of kLongBucketThreads.
template <bool kLong>
__device__ ValueRange join_threads(ValueRange range) {
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

/// This thread's share of a run: values begin + first, begin + first + threads, ... below `end` of
/// bucket b. Threads of a warp share a bucket, so return together where there is none.
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

/// Positive, finite, and so are the shadows of the outermost points.
__device__ inline bool is_good(float alpha, float beta, float first, float last) {
  return alpha > 0 && isfinite(alpha) && isfinite(first * alpha + beta) &&
         isfinite(last * alpha + beta);
}

__device__ inline void report(int64_t b, uint64_t* bad) {
  if (bad == nullptr) return;
  atomicMin(reinterpret_cast<unsigned long long*>(bad), static_cast<unsigned long long>(b));
}

/// The scale of a bucket, or the run's given one. Reports bad ones. first, last: outermost points.
template <bool kLong, class Run>
__device__ DeviceScale find_scale(const Run& run, const Share& share, float first, float last,
                                  uint64_t* bad) {
  ValueRange range{INFINITY, -INFINITY, true};
  for (int64_t i = share.begin + share.first; i < share.end; i += share.threads) {
    const float value = run.masters[i];
    range.join({value, value, isfinite(value) != 0});
  }
  range = join_threads<kLong>(range);
  DeviceScale scale{};
  if (run.alpha != nullptr) {
    scale = {run.alpha[share.b], run.beta[share.b], false};
  } else {
    scale.beta = range.low + 0.0f;
    scale.alpha = range.high - scale.beta;
    if (scale.alpha < 1e-10f) scale.alpha = 1.0f;
  }
  scale.good = range.finite && is_good(scale.alpha, scale.beta, first, last);
  if (!scale.good && share.first == 0) report(share.b, bad);
  return scale;
}

__device__ inline void put_scale(const Share& share, const DeviceScale& scale,
                                 const CudaOutputs& outputs) {
  if (share.first != 0) return;
  if (outputs.alpha != nullptr) outputs.alpha[share.b] = scale.alpha;
  if (outputs.beta != nullptr) outputs.beta[share.b] = scale.beta;
}

__device__ inline void put(int64_t i, int code, float point, float alpha, float beta,
                           const CudaOutputs& outputs) {
  if (outputs.codes != nullptr) outputs.codes[i] = static_cast<uint8_t>(code);
  if (outputs.shadows != nullptr) outputs.shadows[i] = point * alpha + beta;
}

/// Launches kernel(run, arguments...) in its form for the run's length of buckets.
template <class Run, class... Parameters, class... Arguments>
void launch_buckets(const char* what, void (*short_kernel)(Run, Parameters...),
                    void (*long_kernel)(Run, Parameters...), const Run& run, void* stream,
                    Arguments&&... arguments) {
  if (run.count == 0) return;
  const int64_t buckets = run.count / run.bucket + (run.count % run.bucket != 0);
  if (run.bucket <= kShortBucket) {
    launch(what, short_kernel, dim3(blocks_for(buckets, kBucketsAtOnce)),
           dim3(kWarp, kBucketsAtOnce), stream, run, std::forward<Arguments>(arguments)...);
  } else {
    launch(what, long_kernel, dim3(blocks_for(buckets, 1)), dim3(kLongBucketThreads), stream, run,
           std::forward<Arguments>(arguments)...);
  }
}

}  // namespace bitstill
