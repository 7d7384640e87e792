// The kernel of WinogradConvolution (winograd.hpp): some tiles of a convolution, in fp32.
//
// A tile is m x m outputs, m = 7 - k, made of 6 x 6 inputs d (Lavin and Gray 2016, eq. 8):
//   Y = A^T [sum over inputs (G g G^T) . (B^T d B)] A,
// from polynomials through the points 0, a, -a, b, -b and infinity. Element (i, j) of the
// transformed tiles of many places, times that of the weights, is one matrix product: 36 of them.
#pragma once

#include <cstdint>

namespace bitstill {

/// The points a and b: the error is a quarter of that with the customary 1 and 2, since powers stay
/// near 1; the coefficients of A and B are exact in fp32.
constexpr double kWinogradPoints[2] = {0.75, 1.5};
constexpr int64_t kWinogradSide = 6;          // of a tile of inputs
constexpr int64_t kWinogradChannels = 16;     // channels are padded to a multiple of these
constexpr int64_t kWinogradLargestBlock = 3;  // output channels at a time, in kWinogradChannels

/// How many kWinogradChannels the next block takes where `left` are left.
constexpr int64_t winograd_block(int64_t left) {
  return left == 2 || left == 4 ? 2 : left < kWinogradLargestBlock ? left : kWinogradLargestBlock;
}

/// Values are channels-last: pixel p of x is at x + p in_stride, its outputs at y + p out_stride
/// (strides are multiples of kWinogradChannels, 64-byte aligned; padding values do not matter).
struct WinogradRun {
  const float* x = nullptr;
  int64_t height = 0, width = 0;
  int64_t inputs = 0, in_stride = 0;
  int64_t side = 4;               // m: 4 for kernels of 3, 2 for kernels of 5
  const float* weight = nullptr;  // by blocks of output channels: [36][inputs][channels of block]
  const float* bias = nullptr;    // [outputs]
  int64_t outputs = 0;            // a multiple of kWinogradChannels; the first are at y
  int64_t out_stride = 0;
  bool add = false;  // to what y holds; then ReLU, and no pool
  bool relu = false;
  bool pool = false;  // 2x2 max-pool: y has height / 2 rows of width / 2 pixels
  float* y = nullptr;

  int64_t rows() const { return (height + side - 1) / side; }  // of tiles in an image
  int64_t columns() const { return (width + side - 1) / side; }
};

/// Floats that winograd_tiles() wants for so many tiles.
int64_t winograd_scratch(const WinogradRun& run, int64_t tiles);

/// Tiles [begin, begin + count) of the batch, image by image. A tile's outputs depend on its inputs
/// alone, not on its neighbours in the run.
void winograd_tiles(const WinogradRun& run, int64_t begin, int64_t count, float* scratch);

/// Makes the weights that a run takes, for inputs [begin, end) of `inputs`: G g G^T, computed in
/// double. `plain` [inputs][kernel][kernel][outputs], 64-byte aligned.
void winograd_weights(const float* plain, int64_t inputs, int64_t kernel, int64_t outputs,
                      int64_t begin, int64_t end, float* weight);

}  // namespace bitstill
