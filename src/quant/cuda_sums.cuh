// Device code for the sums of gradients, in the order that points_kernel.hpp defines.
#pragma once

#include <cstdint>

#include "bitstill/quant/points_kernel.hpp"
#include "cuda_launch.cuh"

namespace bitstill {

constexpr int kSumThreads = 256;
constexpr int64_t kChunk = 1024;  // terms of a block that are in shared memory at a time
constexpr int kLanes = 16;

/// Block number k of a piece [start, end).
struct BlockOf {
  int64_t begin, end;
};
__device__ inline BlockOf block_of(int64_t start, int64_t end, int64_t k) {
  const int64_t begin = start + k * kGradientBlock;
  return {begin, end - begin < 2 * kGradientBlock ? end : begin + kGradientBlock};
}

/// Sixteen lanes added in halves, by one thread; they are overwritten.
__device__ inline float sum_lanes(float* lanes) {
  for (int half = kLanes / 2; half > 0; half /= 2) {
    for (int l = 0; l < half; ++l) lanes[l] += lanes[l + half];
  }
  return lanes[0];
}

/// out[row width + j] = the sum of `blocks` sums of the row's, in double, in order.
static __global__ void add_sums(const float* sums, int64_t blocks, int64_t rows, int64_t width,
                                float* out) {
  const int64_t at = int64_t{blockIdx.x} * kSumThreads + threadIdx.x;
  if (at >= rows * width) return;
  const int64_t row = at / width, j = at % width;
  double sum = 0;
  for (int64_t k = 0; k < blocks; ++k) sum += sums[(row * blocks + k) * width + j];
  out[at] = static_cast<float>(sum);
}

inline void launch_add_sums(const float* sums, int64_t blocks, int64_t rows, int64_t width,
                            float* out, void* stream) {
  launch("the sum of gradients", add_sums, dim3(blocks_for(rows * width, kSumThreads)),
         dim3(kSumThreads), stream, sums, blocks, rows, width, out);
}

}  // namespace bitstill
