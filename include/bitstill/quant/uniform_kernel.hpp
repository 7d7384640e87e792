// The fused kernels of the uniform quantizer with linear scaling, on runs of buckets.
//
// Per bucket of values v: beta = min, alpha = max - min (below 1e-10: 1), x = (v - beta) / alpha,
//   nearest:    j = rint(x (s-1)), ties to even
//   stochastic: j = floor(x (s-1)) + (u < frac(x (s-1))), u of [0, 1) in 24 bits
//   shadow:     w = fl32(fl32(p_j alpha) + beta), p_j = fl32(j / (s-1))
// With given scales x may leave [0, 1]: x (s-1) is clamped to [0, s-1] before it is rounded.
// Every operation is one rounding of IEEE single precision in this order, so every instruction set,
// thread count and the slow reference (uniform_reference.cpp) give equal bits.
#pragma once

#include <array>
#include <cstdint>

namespace bitstill {

/// A run of buckets, all of `bucket` values but the last, which may be shorter.
struct UniformRun {
  const float* masters = nullptr;  // `count` values, any alignment
  int64_t count = 0;
  int64_t bucket = 1;  // >= 1
  int points = 256;    // s: 2..256
  bool stochastic = false;
  std::array<uint32_t, 2> key{};  // stream_key(seed, rounding)
  uint64_t step = 0;
  uint64_t first = 0;            // flat index of masters[0]: value i rounds by number first + i of
                                 // RandomStream(seed, rounding, step)
  const float* alpha = nullptr;  // given scales, one each a bucket, instead of computed ones; both
  const float* beta = nullptr;   // or none
};

/// A run of encoded buckets; out[i] = fl32(fl32(points[codes[i]] alpha) + beta).
struct CodedRun {
  const uint8_t* codes = nullptr;
  int64_t count = 0;
  int64_t bucket = 1;             // >= 1
  const float* points = nullptr;  // one for every code that occurs
  const float* alpha = nullptr;   // one each a bucket
  const float* beta = nullptr;
};

/// Scales, codes or values of a run; the index of the first bad bucket, or -1. Bad: a value or a
/// scale is not finite, alpha is not positive, or the range or the shadow of an outermost point
/// overflows. Nothing is written from that bucket on. `stream`: the shadows bypass the caches (for
/// buffers larger than these). The shadows may lie where the masters do; `alpha` and `beta` where
/// the given scales do (they are written in either case).
int64_t quantize_uniform(const UniformRun& run, bool stream, float* shadows);
int64_t encode_uniform(const UniformRun& run, uint8_t* codes, float* alpha, float* beta);
void decode_run(const CodedRun& run, float* out);

/// The same in plain scalar code, from the definitions; `codes`, `alpha`, `beta` as encode_uniform.
int64_t reference_uniform(const UniformRun& run, float* shadows, uint8_t* codes, float* alpha,
                          float* beta);

}  // namespace bitstill
