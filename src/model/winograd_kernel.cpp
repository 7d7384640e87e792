// Winograd convolution in SIMD; Google Highway compiles this file once for every instruction set
// and picks the best one at run time.
//
// Contents: scratch, input transform, matrix product, output transform, dispatch.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "../src/model/winograd_kernel.cpp"  // from include/
// Vectors in arrays need a size that is known at compile time.
#define HWY_DISABLED_TARGETS (HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128 | HWY_RVV)
#include <hwy/foreach_target.h>
// The line above includes this file again for every further target.
#include <hwy/highway.h>

#include <algorithm>
#include <limits>

#include "winograd_kernel.hpp"

#ifndef BITSTILL_WINOGRAD_KERNEL_ONCE
#define BITSTILL_WINOGRAD_KERNEL_ONCE
namespace bitstill {

constexpr int64_t kSide = kWinogradSide, kElements = kSide * kSide, kGroup = kWinogradChannels;
constexpr int64_t kRows = 8;  // tiles are transformed and multiplied by as many
constexpr float kA = kWinogradPoints[0], kB = kWinogradPoints[1];

/// Where a block of tiles keeps its values. Planes are [rows][channels] for one of 36 elements, and
/// a little longer, for else all 36 of a channel would compete for the same few places in the
/// cache.
struct WinogradScratch {
  WinogradScratch(const WinogradRun& run, int64_t tiles, float* memory)
      : rows((tiles + kRows - 1) / kRows * kRows),
        pixel(run.in_stride),
        in_plane(rows * pixel + kGroup),
        out_plane(rows * kWinogradLargestBlock * kGroup + kGroup),
        zeros(memory) {}
  float* in() const { return zeros + pixel; }
  float* out() const { return in() + kElements * in_plane; }
  int64_t size() const { return pixel + kElements * (in_plane + out_plane); }
  int64_t rows, pixel, in_plane, out_plane;
  float* zeros;  // a pixel outside the image
};

/// A tile's place in the batch: its first output is (row, column).
struct TilePlace {
  TilePlace(const WinogradRun& run, int64_t tile)
      : image(tile / (run.rows() * run.columns())),
        row(tile / run.columns() % run.rows() * run.side),
        column(tile % run.columns() * run.side) {}
  int64_t image, row, column;
};

/// The tile's 36 pixels; `outside` where they are outside the image.
inline void find_pixels(const WinogradRun& run, int64_t tile, const float* outside,
                        const float** pixels) {
  const TilePlace place(run, tile);
  const int64_t before = (kSide - run.side) / 2;  // the padding
  for (int64_t i = 0; i < kSide; ++i) {
    const int64_t row = place.row - before + i;
    for (int64_t j = 0; j < kSide; ++j) {
      const int64_t column = place.column - before + j;
      const bool inside = row >= 0 && row < run.height && column >= 0 && column < run.width;
      const int64_t pixel = (place.image * run.height + row) * run.width + column;
      *pixels++ = inside ? run.x + pixel * run.in_stride : outside;
    }
  }
}

}  // namespace bitstill
#endif

HWY_BEFORE_NAMESPACE();
namespace bitstill {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using D = hn::CappedTag<float, kGroup>;
using V = hn::Vec<D>;
constexpr int64_t kLanes = hn::MaxLanes(D());

/// One column or row of B^T d B: t = B^T x.
HWY_INLINE void transform_inputs(const V (&x)[kSide], V (&t)[kSide]) {
  const D d;
  const auto a = hn::Set(d, kA), b = hn::Set(d, kB);
  const auto a_2 = hn::Set(d, kA * kA), b_2 = hn::Set(d, kB * kB);
  const auto product = hn::Set(d, kA * kA * kB * kB), sum = hn::Set(d, kA * kA + kB * kB);
  t[0] = hn::MulAdd(product, x[0], hn::NegMulAdd(sum, x[2], x[4]));
  const auto even_a = hn::NegMulAdd(b_2, x[2], x[4]), odd_a = hn::NegMulAdd(b_2, x[1], x[3]);
  t[1] = hn::MulAdd(a, odd_a, even_a);
  t[2] = hn::NegMulAdd(a, odd_a, even_a);
  const auto even_b = hn::NegMulAdd(a_2, x[2], x[4]), odd_b = hn::NegMulAdd(a_2, x[1], x[3]);
  t[3] = hn::MulAdd(b, odd_b, even_b);
  t[4] = hn::NegMulAdd(b, odd_b, even_b);
  t[5] = hn::MulAdd(product, x[1], hn::NegMulAdd(sum, x[3], x[5]));
}

/// One column or row of A^T t A: y = A^T t.
template <int64_t kOut>
HWY_INLINE void transform_outputs(const V (&t)[kSide], V (&y)[kOut]) {
  const D d;
  const auto even_a = hn::Add(t[1], t[2]), odd_a = hn::Sub(t[1], t[2]);
  const auto even_b = hn::Add(t[3], t[4]), odd_b = hn::Sub(t[3], t[4]);
  y[0] = hn::Add(t[0], hn::Add(even_a, even_b));
  float a = kA, b = kB;
  for (int64_t i = 1; i < kOut; ++i, a *= kA, b *= kB) {
    const bool odd = i % 2 == 1;
    y[i] = hn::MulAdd(hn::Set(d, a), odd ? odd_a : even_a,
                      hn::Mul(hn::Set(d, b), odd ? odd_b : even_b));
  }
  y[kOut - 1] = hn::Add(y[kOut - 1], t[5]);
}

HWY_INLINE void transform_tile(const WinogradRun& run, const float* const* pixels, float* out,
                               int64_t plane) {
  const D d;
  for (int64_t c = 0; c < run.in_stride; c += kLanes) {
    HWY_ALIGN float half[kElements * kLanes];
    for (int64_t j = 0; j < kSide; ++j) {
      V x[kSide], t[kSide];
      for (int64_t i = 0; i < kSide; ++i) x[i] = hn::Load(d, pixels[kSide * i + j] + c);
      transform_inputs(x, t);
      for (int64_t i = 0; i < kSide; ++i) hn::Store(t[i], d, half + (kSide * i + j) * kLanes);
    }
    for (int64_t i = 0; i < kSide; ++i) {
      V x[kSide], t[kSide];
      for (int64_t j = 0; j < kSide; ++j) x[j] = hn::Load(d, half + (kSide * i + j) * kLanes);
      transform_inputs(x, t);
      for (int64_t j = 0; j < kSide; ++j) hn::Store(t[j], d, out + (kSide * i + j) * plane + c);
    }
  }
}

/// out [kTile rows][kVectors] = in [kTile rows][inputs] * weight [inputs][kVectors].
template <int64_t kTile, int64_t kVectors>
HWY_INLINE void multiply_tile(const float* in, int64_t in_stride, const float* weight,
                              int64_t inputs, float* out) {
  const D d;
  V sum[kTile][kVectors];
  for (auto& row : sum) {
    for (V& v : row) v = hn::Zero(d);
  }
  for (int64_t k = 0; k < inputs; ++k, weight += kVectors * kLanes) {
    V w[kVectors];
    for (int64_t j = 0; j < kVectors; ++j) w[j] = hn::Load(d, weight + j * kLanes);
    for (int64_t r = 0; r < kTile; ++r) {
      const V value = hn::Set(d, in[r * in_stride + k]);
      for (int64_t j = 0; j < kVectors; ++j) sum[r][j] = hn::MulAdd(value, w[j], sum[r][j]);
    }
  }
  for (const auto& row : sum) {
    for (const V& v : row) {
      hn::Store(v, d, out);
      out += kLanes;
    }
  }
}

/// All 36 products of a block of kBlock groups of output channels. A tile of the product takes 24
/// of 32 registers, or 12 of the 16 of smaller ones.
template <int64_t kBlock>
HWY_NOINLINE void multiply(const WinogradRun& run, const WinogradScratch& scratch,
                           const float* weight) {
  constexpr int64_t kVectors = kBlock * kGroup / kLanes;
  constexpr int64_t kTile = kLanes == 16 ? kRows : std::max<int64_t>(kLanes / 4, 1);
  static_assert(kRows % kTile == 0);
  for (int64_t e = 0; e < kElements; ++e, weight += run.inputs * kBlock * kGroup) {
    const float* in = scratch.in() + e * scratch.in_plane;
    float* out = scratch.out() + e * scratch.out_plane;
    for (int64_t row = 0; row < scratch.rows; row += kTile) {
      multiply_tile<kTile, kVectors>(in, run.in_stride, weight, run.inputs, out);
      in += kTile * run.in_stride;
      out += kTile * kVectors * kLanes;
    }
  }
}

HWY_INLINE V least_of(bool relu) {
  return hn::Set(D(), relu ? 0.0f : -std::numeric_limits<float>::infinity());
}

/// y [kOut][kOut] for one vector of channels.
template <int64_t kOut>
HWY_INLINE void transform_back(const float* in, int64_t plane, const float* bias, bool relu,
                               V (&y)[kOut][kOut]) {
  const D d;
  HWY_ALIGN float half[kOut * kSide * kLanes];
  for (int64_t j = 0; j < kSide; ++j) {
    V t[kSide], column[kOut];
    for (int64_t i = 0; i < kSide; ++i) t[i] = hn::Load(d, in + (kSide * i + j) * plane);
    transform_outputs(t, column);
    for (int64_t i = 0; i < kOut; ++i) hn::Store(column[i], d, half + (kSide * i + j) * kLanes);
  }
  const V least = least_of(relu);
  for (int64_t i = 0; i < kOut; ++i) {
    V t[kSide];
    for (int64_t j = 0; j < kSide; ++j) t[j] = hn::Load(d, half + (kSide * i + j) * kLanes);
    transform_outputs(t, y[i]);
    for (V& v : y[i]) v = hn::Max(least, hn::Add(v, hn::Load(d, bias)));
  }
}

/// Writes those of the tile's outputs that are inside the image. `y`: the channels of pixel (0, 0).
template <int64_t kOut>
HWY_INLINE void write_tile(const V (&tile)[kOut][kOut], int64_t row, int64_t column, int64_t height,
                           int64_t width, int64_t stride, float* y) {
  const D d;
  for (int64_t i = 0; i < kOut && row + i < height; ++i) {
    for (int64_t j = 0; j < kOut && column + j < width; ++j) {
      hn::Store(tile[i][j], d, y + ((row + i) * width + column + j) * stride);
    }
  }
}

/// Those that are inside the image, added to what is there.
template <int64_t kOut>
HWY_INLINE void add_tile(const V (&tile)[kOut][kOut], int64_t row, int64_t column,
                         const WinogradRun& run, float* y) {
  const D d;
  const V least = least_of(run.relu);
  for (int64_t i = 0; i < kOut && row + i < run.height; ++i) {
    for (int64_t j = 0; j < kOut && column + j < run.width; ++j) {
      float* const at = y + ((row + i) * run.width + column + j) * run.out_stride;
      hn::Store(hn::Max(least, hn::Add(tile[i][j], hn::Load(d, at))), d, at);
    }
  }
}

/// The outputs of a block of `channels` from channel `first` on.
template <int64_t kOut>
HWY_NOINLINE void write_outputs(const WinogradRun& run, const WinogradScratch& scratch,
                                int64_t begin, int64_t count, int64_t first, int64_t channels) {
  const int64_t divisor = run.pool ? 2 : 1;
  const int64_t height = run.height / divisor, width = run.width / divisor;
  for (int64_t t = 0; t < count; ++t) {
    const TilePlace place(run, begin + t);
    const int64_t row = place.row / divisor, column = place.column / divisor;
    float* const y = run.y + place.image * height * width * run.out_stride + first;
    for (int64_t c = 0; c < channels; c += kLanes) {
      V tile[kOut][kOut];
      transform_back(scratch.out() + t * channels + c, scratch.out_plane, run.bias + first + c,
                     run.relu && !run.add, tile);
      if (run.add) {
        add_tile(tile, row, column, run, y + c);
        continue;
      }
      if (!run.pool) {
        write_tile(tile, row, column, height, width, run.out_stride, y + c);
        continue;
      }
      V pooled[kOut / 2][kOut / 2];
      for (int64_t i = 0; i < kOut; i += 2) {
        for (int64_t j = 0; j < kOut; j += 2) {
          pooled[i / 2][j / 2] = hn::Max(hn::Max(tile[i][j], tile[i][j + 1]),
                                         hn::Max(tile[i + 1][j], tile[i + 1][j + 1]));
        }
      }
      write_tile(pooled, row, column, height, width, run.out_stride, y + c);
    }
  }
}

void run_tiles(const WinogradRun& run, int64_t begin, int64_t count, float* memory) {
  const WinogradScratch scratch(run, count, memory);
  std::fill_n(scratch.zeros, run.in_stride, 0.0f);
  const float* pixels[kElements];
  std::fill_n(pixels, kElements, scratch.zeros);
  for (int64_t t = scratch.rows - 1; t >= 0; --t) {  // the rows behind the last tile become zeros
    if (t < count) find_pixels(run, begin + t, scratch.zeros, pixels);
    transform_tile(run, pixels, scratch.in() + t * run.in_stride, scratch.in_plane);
  }
  const float* weight = run.weight;
  for (int64_t c = 0, channels = 0; c < run.outputs; c += channels) {
    const int64_t block = winograd_block((run.outputs - c) / kGroup);
    channels = block * kGroup;
    (block == 1 ? multiply<1> : block == 2 ? multiply<2> : multiply<3>)(run, scratch, weight);
    weight += kElements * run.inputs * channels;
    (run.side == 4 ? write_outputs<4> : write_outputs<2>)(run, scratch, begin, count, c, channels);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace bitstill
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace bitstill {

HWY_EXPORT(run_tiles);

int64_t winograd_scratch(const WinogradRun& run, int64_t tiles) {
  return WinogradScratch(run, tiles, nullptr).size();
}

void winograd_tiles(const WinogradRun& run, int64_t begin, int64_t count, float* scratch) {
  HWY_DYNAMIC_DISPATCH(run_tiles)(run, begin, count, scratch);
}

}  // namespace bitstill
#endif
