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
constexpr int kHeld = 8;  // values a thread keeps of the shortest ones
constexpr int64_t kHeldBucket = kHeld * kWarp;

/// Who quantizes a bucket: a warp that keeps its values, a warp that reads them twice, a block.
enum class Length { held, warp, block };

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
template <Length kLength>
__device__ ValueRange join_threads(ValueRange range) {
  for (int half = kWarp / 2; half > 0; half /= 2) {
    range.join({__shfl_xor_sync(~0u, range.low, half), __shfl_xor_sync(~0u, range.high, half),
                __shfl_xor_sync(~0u, static_cast<int>(range.finite), half) != 0});
  }
  if constexpr (kLength == Length::block) {
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
template <Length kLength>
__device__ Share share_of(int64_t count, int64_t bucket) {
  constexpr bool kBlock = kLength == Length::block;
  const int64_t b =
      kBlock ? int64_t{blockIdx.x} : int64_t{blockIdx.x} * kBucketsAtOnce + threadIdx.y;
  const int64_t begin = b * bucket;
  return {b, begin, begin + bucket < count ? begin + bucket : count, static_cast<int>(threadIdx.x),
          kBlock ? kLongBucketThreads : kWarp};
}

/// The values of a share, read once where they are held: use(index, value) for each, any number of
/// times.
template <Length kLength>
struct ShareValues {
  const float* masters;
  Share share;
  float held[kHeld];

  __device__ ShareValues(const float* from, const Share& of) : masters(from), share(of) {
    if constexpr (kLength == Length::held) {
      for (int k = 0; k < kHeld; ++k) {
        const int64_t i = share.begin + share.first + k * kWarp;
        held[k] = i < share.end ? masters[i] : 0;
      }
    }
  }
  template <class Use>
  __device__ void each(const Use& use) const {
    if constexpr (kLength == Length::held) {
      for (int k = 0; k < kHeld; ++k) {
        const int64_t i = share.begin + share.first + k * kWarp;
        if (i < share.end) use(i, held[k]);
      }
    } else {
      for (int64_t i = share.begin + share.first; i < share.end; i += share.threads) {
        use(i, masters[i]);
      }
    }
  }
};

/// Quotients of many numbers by one, rounded as division rounds them, from its reciprocal: a
/// quotient within an ulp and one more correction is the nearest (Markstein 1990). Quotients so
/// small that a remainder underflows are next to 0 all the same, and those so large that it
/// overflows are beyond every point.
struct Divisor {
  float value, reciprocal;
  bool far;  // the reciprocal could underflow
  __device__ explicit Divisor(float by)
      : value(by), reciprocal(1.0f / by), far(!(by > 1e-30f && by < 1e30f)) {}
  __device__ float corrected(float number, float quotient) const {
    return fmaf(fmaf(-value, quotient, number), reciprocal, quotient);
  }
  __device__ float of(float number) const {
    if (far) return number / value;
    const float near = number * reciprocal;
    return fabsf(near) > 1e30f ? near : corrected(number, corrected(number, near));
  }
};

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
template <Length kLength, class Run>
__device__ DeviceScale find_scale(const Run& run, const ShareValues<kLength>& values, float first,
                                  float last, uint64_t* bad) {
  const Share& share = values.share;
  ValueRange range{INFINITY, -INFINITY, true};
  values.each([&](int64_t, float value) { range.join({value, value, isfinite(value) != 0}); });
  range = join_threads<kLength>(range);
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

/// The forms of one kernel(run, arguments...).
template <class Run, class... Parameters>
struct BucketKernels {
  void (*held)(Run, Parameters...);
  void (*warp)(Run, Parameters...);
  void (*block)(Run, Parameters...);
};

/// Launches the form for the run's length of buckets.
template <class Run, class... Parameters, class... Arguments>
void launch_buckets(const char* what, const BucketKernels<Run, Parameters...>& kernels,
                    const Run& run, void* stream, Arguments&&... arguments) {
  if (run.count == 0) return;
  const int64_t buckets = run.count / run.bucket + (run.count % run.bucket != 0);
  if (run.bucket <= kShortBucket) {
    launch(what, run.bucket <= kHeldBucket ? kernels.held : kernels.warp,
           dim3(blocks_for(buckets, kBucketsAtOnce)), dim3(kWarp, kBucketsAtOnce), stream, run,
           std::forward<Arguments>(arguments)...);
  } else {
    launch(what, kernels.block, dim3(blocks_for(buckets, 1)), dim3(kLongBucketThreads), stream, run,
           std::forward<Arguments>(arguments)...);
  }
}

}  // namespace bitstill
