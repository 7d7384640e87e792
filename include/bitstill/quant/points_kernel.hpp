// The fused kernels of quantization to given points, on runs of buckets: codes and shadows by the
// nearest point, and the gradient of the points.
//
// Per bucket of values v: beta = min, alpha = max - min (below 1e-10: 1) or given scales,
//   x = fl32(fl32(v - beta) / alpha), shadow w = fl32(fl32(p_j alpha) + beta).
// Nearest: with p < q two neighbours among the distinct points, x belongs to q or above where
//   x > m, m the largest float <= (p + q) / 2 (the sum in double, so exact unless p and q differ by
//   more than 2^28); ties go to the lower point, and of equal points to the one of lowest index.
// The gradient of the points (the paper, Algorithm 2) is, for w_i = p_j alpha + beta,
//   dL/dp_j = sum over i assigned to j of fl32(alpha_bucket(i) g_i)
// in one order of additions for every instruction set, number of threads, the slow reference
// (points_reference.cpp) and CUDA: a run is cut into pieces of ceil(4096 / bucket) buckets, a piece
// into blocks of 4096 values, of which the last one takes the rest (so has up to 8191; a shorter
// piece is one block). In a block value i adds to lane i mod 16 of its point, in the order of i, in
// fp32; lanes are added in halves: l and l + 8, l + 4, l + 2, l + 1. The sums of blocks are added
// in double, in order, and rounded once.
#pragma once

#include <cstdint>

#include "bitstill/quant/uniform_kernel.hpp"

namespace bitstill {

/// A run of buckets, all of `bucket` values but the last, which may be shorter.
struct PointsRun {
  const float* masters = nullptr;  // `count` values, any alignment
  int64_t count = 0;
  int64_t bucket = 1;             // >= 1
  const float* points = nullptr;  // p_0 <= ... <= p_{s-1}, all finite
  int point_count = 0;            // s: 1..256
  const float* alpha = nullptr;   // given scales, one each a bucket, instead of computed ones; both
  const float* beta = nullptr;    // or none
};

/// As quantize_uniform and encode_uniform: the index of the first bad bucket, or -1.
int64_t quantize_points(const PointsRun& run, bool stream, float* shadows);
int64_t encode_points(const PointsRun& run, uint8_t* codes, float* alpha, float* beta);

/// Values of a block; of a piece of whole buckets; blocks of `count` values.
constexpr int64_t kGradientBlock = 4096;
constexpr int64_t gradient_piece(int64_t bucket) {
  return (kGradientBlock + bucket - 1) / bucket * bucket;
}
constexpr int64_t gradient_blocks(int64_t count, int64_t bucket) {
  const int64_t piece = gradient_piece(bucket), rest = count % piece;
  return count / piece * (piece / kGradientBlock) + (rest == 0 ? 0
                                                     : rest < kGradientBlock
                                                         ? 1
                                                         : rest / kGradientBlock);
}

/// The sums of a run's blocks: sums[block s + j], gradient_blocks(count, bucket) x s. A run may be
/// shared out among threads at multiples of gradient_piece(bucket), each writing its own blocks.
/// The first form assigns anew from the masters and returns as quantize_points; in the second
/// every code is below `point_count`. gradients: dL/dw, `count` finite values. clipped, where
/// wanted: what clipped_gradient (master_gradient.hpp) makes of them; may be `gradients` itself.
int64_t points_gradient(const PointsRun& run, const float* gradients, float* sums,
                        float* clipped = nullptr);
void points_gradient(const CodedRun& run, int point_count, const float* gradients, float* sums);

/// gradient[j] = the sum over `blocks` of sums[block s + j].
void add_blocks(const float* sums, int64_t blocks, int point_count, float* gradient);

/// The same in plain scalar code, from the definitions. `codes`, `alpha`, `beta` as encode_points;
/// reference_points_gradient needs no points.
int64_t reference_points(const PointsRun& run, float* shadows, uint8_t* codes, float* alpha,
                         float* beta);
void reference_points_gradient(const CodedRun& run, int point_count, const float* gradients,
                               float* sums);

}  // namespace bitstill
