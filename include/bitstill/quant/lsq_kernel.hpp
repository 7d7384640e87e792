// The fused kernels of learned step size quantization (LSQ; Esser et al., ICLR 2020), weights only.
//
// With Qn = 2^(b-1), Qp = 2^(b-1) - 1, a step d per bucket and t = fl32(w / d):
//   shadow w_q = fl32(fl32(clamp(round(t), -Qn, Qp) d) + 0), ties to even, so never -0;
//   code = clamp(round(t), -Qn, Qp) + Qn, the index into the points -Qn .. Qp;
//   inside (-Qn < t < Qp): dL/dw = g, r = fl32(round(t) - t);
//   outside:               dL/dw = 0, r = -Qn or Qp;
//   dL/dd = sum over the bucket of fl32(g r); the factor 1 / sqrt(n Qp) is the caller's.
// The sum has the order of points_kernel.hpp with a piece for each bucket, rounded to fp32 once.
#pragma once

#include <cstdint>

namespace bitstill {

/// A run of buckets, all of `bucket` values but the last, which may be shorter.
struct LsqRun {
  const float* masters = nullptr;  // `count` values, any alignment
  int64_t count = 0;
  int64_t bucket = 1;            // >= 1: the values that share a step
  int bits = 8;                  // b: 2..8
  const float* steps = nullptr;  // d > 0, one each a bucket
};

/// The index of the first bad bucket, or -1. Bad: a value or a step is not finite, the step is not
/// positive, or Qn d overflows. Nothing is written from that bucket on. `stream` and shadows as in
/// quantize_uniform.
int64_t quantize_lsq(const LsqRun& run, bool stream, float* shadows);
int64_t encode_lsq(const LsqRun& run, uint8_t* codes);

/// gradients: dL/dw_q in, dL/dw out. step_gradients: dL/dd, one each a bucket.
void lsq_gradient(const LsqRun& run, float* gradients, float* step_gradients);

/// The same in plain scalar code, from the definitions.
int64_t reference_lsq(const LsqRun& run, float* shadows, uint8_t* codes);
void reference_lsq_gradient(const LsqRun& run, float* gradients, float* step_gradients);

}  // namespace bitstill
