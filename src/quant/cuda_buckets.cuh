// Device code that the quantizations with a scale a bucket share: threads of a bucket, its range
// and scale, what is written.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "bitstill/quant/cuda_kernel.hpp"
#include "cuda_launch.cuh"

namespace bitstill {

constexpr int kWarp = 32;
constexpr int kBucketsAtOnce = 8;         // short buckets: a warp each
constexpr int kLongBucketThreads = 1024;  // long ones: a block each
constexpr int64_t kShortBucket = 2048;
constexpr int64_t kMostBlocks = 2048;  // of a grid: each takes several turns
constexpr int kHeld = 8;               // values a thread keeps of the shortest ones
constexpr int64_t kHeldBucket = kHeld * kWarp;

/// Who quantizes a bucket: a warp that keeps its values, a warp that reads them twice, a block.
enum class Length { held, warp, block };

struct DeviceScale {
  float alpha, beta;
  bool good;
};

/// low is -infinity where a value is not a number.
struct ValueRange {
  float low = INFINITY, high = -INFINITY;
  __device__ void join(const ValueRange& other) {
    low = fminf(low, other.low);
    high = fmaxf(high, other.high);
  }
  __device__ bool finite() const { return low > -INFINITY && high < INFINITY; }
};

/// Over the threads that share a bucket: a warp, or a whole block of kLongBucketThreads.
template <Length kLength>
__device__ ValueRange join_threads(ValueRange range) {
  for (int half = kWarp / 2; half > 0; half /= 2) {
    range.join({__shfl_xor_sync(~0u, range.low, half), __shfl_xor_sync(~0u, range.high, half)});
  }
  if constexpr (kLength == Length::block) {
    __shared__ float lows[kWarp], highs[kWarp];
    const int warp = static_cast<int>(threadIdx.x) / kWarp;
    __syncthreads();  // those of the bucket before have been read
    if (threadIdx.x % kWarp == 0) {
      lows[warp] = range.low;
      highs[warp] = range.high;
    }
    __syncthreads();
    for (int w = 0; w < kLongBucketThreads / kWarp; ++w) range.join({lows[w], highs[w]});
  }
  return range;
}

/// This thread's share of bucket b: values begin + first, begin + first + threads, ... below `end`.
struct Share {
  int64_t b, begin, end;
  int first, threads;
};

/// Calls use(share) for each bucket of this thread; the threads of a bucket go together.
template <Length kLength, class Run, class Use>
__device__ void each_bucket(const Run& run, const Use& use) {
  constexpr bool kBlock = kLength == Length::block;
  const int64_t at_once = kBlock ? 1 : kBucketsAtOnce;
  int64_t b = int64_t{blockIdx.x} * at_once + (kBlock ? 0 : threadIdx.y);
  for (; b * run.bucket < run.count; b += int64_t{gridDim.x} * at_once) {
    const int64_t begin = b * run.bucket, end = begin + run.bucket;
    use(Share{b, begin, end < run.count ? end : run.count, static_cast<int>(threadIdx.x),
              kBlock ? kLongBucketThreads : kWarp});
  }
}

struct alignas(16) Four {
  float value[4];
};

/// What a value becomes: its code and that code's point.
struct Quantized {
  int code;
  float point;
};

/// The values of a share, which are read once where they are held; in fours from a whole bucket
/// that lies at multiples of 16 bytes.
template <Length kLength>
class ShareValues {
 public:
  __device__ ShareValues(const float* masters, const Share& share, const CudaOutputs& outputs)
      : masters_(masters), share_(share), in_fours_(false) {
    if constexpr (kLength == Length::held) {
      const auto aligned = [&](const float* values) {
        return reinterpret_cast<uintptr_t>(values + share.begin) % sizeof(Four) == 0;
      };
      in_fours_ = share.end - share.begin == kHeldBucket && aligned(masters) &&
                  (outputs.shadows == nullptr || aligned(outputs.shadows));
      BITSTILL_UNROLL
      for (int k = 0; k < kHeld; k += 4) {
        if (in_fours_) {
          const Four four = *reinterpret_cast<const Four*>(masters + index(k));
          BITSTILL_UNROLL
          for (int j = 0; j < 4; ++j) held_[k + j] = four.value[j];
        } else {
          BITSTILL_UNROLL
          for (int j = k; j < k + 4; ++j) held_[j] = index(j) < share.end ? masters[index(j)] : 0;
        }
      }
    }
  }

  __device__ const Share& share() const { return share_; }

  __device__ ValueRange range() const {
    ValueRange range;
    float zero = 0;  // until a value is not a number
    const auto add = [&](float value) {
      range.join({value, value});
      zero = fmaf(value, 0, zero);
    };
    if constexpr (kLength == Length::held) {
      BITSTILL_UNROLL
      for (int k = 0; k < kHeld; ++k) {
        if (in_fours_ || index(k) < share_.end) add(held_[k]);
      }
    } else {
      for (int64_t i = share_.begin + share_.first; i < share_.end; i += share_.threads) {
        add(masters_[i]);
      }
    }
    if (!(zero == 0)) range.low = -INFINITY;
    return join_threads<kLength>(range);
  }

  /// Writes what make(i, value i) returns, all Quantized.
  template <class Make>
  __device__ void put(const DeviceScale& scale, const CudaOutputs& outputs,
                      const Make& make) const {
    const auto shadow = [&](int64_t i, float value) {
      const Quantized quantized = make(i, value);
      if (outputs.codes != nullptr) outputs.codes[i] = static_cast<uint8_t>(quantized.code);
      return quantized.point * scale.alpha + scale.beta;
    };
    const auto put_one = [&](int64_t i, float value) {
      const float found = shadow(i, value);
      if (outputs.shadows != nullptr) outputs.shadows[i] = found;
    };
    if constexpr (kLength == Length::held) {
      BITSTILL_UNROLL
      for (int k = 0; k < kHeld; k += 4) {
        if (in_fours_) {
          Four four;
          BITSTILL_UNROLL
          for (int j = 0; j < 4; ++j) four.value[j] = shadow(index(k) + j, held_[k + j]);
          if (outputs.shadows != nullptr) {
            *reinterpret_cast<Four*>(outputs.shadows + index(k)) = four;
          }
        } else {
          BITSTILL_UNROLL
          for (int j = k; j < k + 4; ++j) {
            if (index(j) < share_.end) put_one(index(j), held_[j]);
          }
        }
      }
    } else {
      for (int64_t i = share_.begin + share_.first; i < share_.end; i += share_.threads) {
        put_one(i, masters_[i]);
      }
    }
  }

 private:
  /// Of held_[k]: a warp takes its fours, or its single values, one beside the other.
  __device__ int64_t index(int k) const {
    return share_.begin +
           (in_fours_ ? (k / 4 * kWarp + share_.first) * 4 + k % 4 : k * kWarp + share_.first);
  }

  const float* masters_;
  Share share_;
  bool in_fours_;
  float held_[kHeld];
};

/// Quotients of many numbers by one, rounded as division rounds them, from its reciprocal: a
/// quotient within an ulp and one more correction is the nearest (Markstein 1990). Numbers so small
/// that the remainder underflows have quotients next to 0 all the same.
struct Divisor {
  float value, reciprocal;
  bool divides;  // the reciprocal, or a quotient, could be too large or too small
  __device__ Divisor(float by, bool any_number)
      : value(by), reciprocal(1.0f / by), divides(any_number || !(by > 1e-30f && by < 1e30f)) {}
  __device__ float corrected(float number, float quotient) const {
    return fmaf(fmaf(-value, quotient, number), reciprocal, quotient);
  }
  __device__ float of(float number) const {
    if (divides) return number / value;
    return corrected(number, corrected(number, number * reciprocal));
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
  const Share& share = values.share();
  const ValueRange range = values.range();
  DeviceScale scale{};
  if (run.alpha != nullptr) {
    scale = {run.alpha[share.b], run.beta[share.b], false};
  } else {
    scale.beta = range.low + 0.0f;
    scale.alpha = range.high - scale.beta;
    if (scale.alpha < 1e-10f) scale.alpha = 1.0f;
  }
  scale.good = range.finite() && is_good(scale.alpha, scale.beta, first, last);
  if (!scale.good && share.first == 0) report(share.b, bad);
  return scale;
}

__device__ inline void put_scale(const Share& share, const DeviceScale& scale,
                                 const CudaOutputs& outputs) {
  if (share.first != 0) return;
  if (outputs.alpha != nullptr) outputs.alpha[share.b] = scale.alpha;
  if (outputs.beta != nullptr) outputs.beta[share.b] = scale.beta;
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
  const bool block = run.bucket > kShortBucket;
  const int64_t buckets = run.count / run.bucket + (run.count % run.bucket != 0);
  const int64_t blocks =
      (buckets + (block ? 0 : kBucketsAtOnce - 1)) / (block ? 1 : kBucketsAtOnce);
  auto* const kernel =
      block ? kernels.block : (run.bucket <= kHeldBucket ? kernels.held : kernels.warp);
  launch(what, kernel, dim3(static_cast<unsigned>(std::min(blocks, kMostBlocks))),
         block ? dim3(kLongBucketThreads) : dim3(kWarp, kBucketsAtOnce), stream, run,
         std::forward<Arguments>(arguments)...);
}

}  // namespace bitstill
