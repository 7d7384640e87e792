// Other gradients of the masters than the straight-through one (the paper, Algorithm 1), in place
// on the gradients of the shadows.
#pragma once

#include <cstdint>

#include "bitstill/quant/uniform_kernel.hpp"

namespace bitstill {

/// `truncated`: the forward pass quantizes clamp(w, -1, 1), whose gradient is 0 where |w| > 1.
/// `out` may be the masters themselves.
void truncate_masters(const float* masters, int64_t count, float* out);
void truncated_gradient(const float* masters, int64_t count, float* gradients);

/// `range`, for linear scaling computed from the masters: with x_i = fl32(fl32(v_i - beta) / alpha)
/// and c = the sum over a bucket of fl32(g_i fl32(points[code_i] - x_i)), adds c at the first
/// position of the bucket's largest master and subtracts it at the first of its smallest; nothing
/// in buckets whose range is below 1e-10. It is the gradient of v + alpha(v) r with
/// r = Qhat(x) - x held. `run`: what encode_uniform or encode_points made of the masters. The sum
/// has the order of points_kernel.hpp with a piece for each bucket, rounded to fp32 once.
void range_gradient(const CodedRun& run, const float* masters, float* gradients);

/// quant.clip_gradient, for learned points p_0 <= ... <= p_{s-1}: the gradient is 0 where a master
/// lies below the shadow of its bucket's p_0 or above that of p_{s-1}. Without it such a master,
/// whose shadow does not follow it, drifts on and stretches the range that scales its whole bucket;
/// with it the extremes rest as soon as the outermost points lie inside. `run`: its codes are not
/// used.
void clipped_gradient(const CodedRun& run, int point_count, const float* masters, float* gradients);

}  // namespace bitstill
