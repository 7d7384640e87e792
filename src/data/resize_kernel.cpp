// The SIMD resize; Google Highway compiles this file once for every instruction set and picks the
// best one at run time. All give the same bytes.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "../src/data/resize_kernel.cpp"  // from include/
#include <hwy/foreach_target.h>
// The line above includes this file again for every further target.
#include <hwy/highway.h>

#include <algorithm>

#include "resize_kernel.hpp"

HWY_BEFORE_NAMESPACE();
namespace bitstill {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// So few taps are summed in 16 bits. Each product is cut to 1/256 of a grey level, and half of
/// what that takes is put in at the start: the sum is within 1/8 of a level.
constexpr std::size_t kMostShortTaps = 64;

/// A target pixel's taps, and the first one's row.
struct TapRows {
  const uint8_t* first;
  int64_t stride;
  const uint16_t* weights;
  std::size_t count;

  HWY_INLINE const uint8_t* row(std::size_t tap) const {
    return first + static_cast<int64_t>(tap) * stride;
  }
  HWY_INLINE bool are_few() const { return count <= kMostShortTaps; }
  HWY_INLINE uint16_t start() const { return static_cast<uint16_t>(128 + count / 2); }
};

/// For many taps, in 32 bits, and for few where no vector fits.
HWY_INLINE void add_plainly(const TapRows& taps, int64_t bytes, uint8_t* target) {
  constexpr int64_t kBlock = 256;
  const int cut = taps.are_few() ? 8 : 0;
  for (int64_t begin = 0; begin < bytes; begin += kBlock) {
    const int64_t count = std::min(kBlock, bytes - begin);
    uint32_t sums[kBlock];
    std::fill(sums, sums + count, taps.are_few() ? taps.start() : uint32_t{1} << 15);
    for (std::size_t t = 0; t < taps.count; ++t) {
      const uint8_t* const row = taps.row(t) + begin;
      for (int64_t x = 0; x < count; ++x) sums[x] += taps.weights[t] * uint32_t{row[x]} >> cut;
    }
    for (int64_t x = 0; x < count; ++x) {
      target[begin + x] = static_cast<uint8_t>(sums[x] >> (16 - cut));
    }
  }
}

HWY_INLINE void turn_plainly(const uint8_t* strip, int64_t rows, int64_t bytes, uint8_t* target,
                             int64_t stride) {
  for (int64_t x = 0; x < bytes; ++x) {
    for (int64_t y = 0; y < rows; ++y) target[x * stride + y] = strip[y * bytes + x];
  }
}

#if HWY_TARGET == HWY_SCALAR

HWY_INLINE void add_taps(const TapRows& taps, int64_t bytes, uint8_t* target) {
  add_plainly(taps, bytes, target);
}

HWY_INLINE void turn(const uint8_t* strip, int64_t rows, int64_t bytes, uint8_t* target,
                     int64_t stride) {
  turn_plainly(strip, rows, bytes, target, stride);
}

#else

/// The upper bytes of 16-bit lanes times w / 2^16, and the lower ones, each as 8.8 fixed point.
template <class Words>
struct Sums {
  hn::Vec<Words> upper, lower;
  HWY_INLINE void add(hn::Vec<Words> bytes, hn::Vec<Words> weight) {
    const Words d;
    upper = hn::Add(upper, hn::MulHigh(hn::And(bytes, hn::Set(d, 0xFF00)), weight));
    lower = hn::Add(lower, hn::MulHigh(hn::ShiftLeft<8>(bytes), weight));
  }
  HWY_INLINE hn::Vec<Words> levels() const {
    const Words d;
    return hn::Or(hn::And(upper, hn::Set(d, 0xFF00)), hn::ShiftRight<8>(lower));
  }
};

HWY_INLINE void add_taps(const TapRows& taps, int64_t bytes, uint8_t* target) {
  const hn::ScalableTag<uint8_t> d8;
  const hn::Repartition<uint16_t, decltype(d8)> d16;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d8));
  if (!taps.are_few() || bytes < lanes) return add_plainly(taps, bytes, target);
  const auto start = hn::Set(d16, taps.start());
  for (int64_t next = 0; next < bytes; next += lanes) {
    const int64_t x = std::min(next, bytes - lanes);
    Sums<decltype(d16)> sums{start, start};
    for (std::size_t t = 0; t < taps.count; ++t) {
      const auto row = hn::BitCast(d16, hn::LoadU(d8, taps.row(t) + x));
      sums.add(row, hn::Set(d16, taps.weights[t]));
    }
    hn::StoreU(hn::BitCast(d8, sums.levels()), d8, target + x);
  }
}

/// 16x16 bytes: each round of interleaving moves the bits of (row, column) up by one.
HWY_INLINE void turn_square(const uint8_t* from, int64_t from_stride, uint8_t* to,
                            int64_t to_stride) {
  const hn::FixedTag<uint8_t, 16> d;
  hn::Vec<decltype(d)> v[16], w[16];
  for (int i = 0; i < 16; ++i) v[i] = hn::LoadU(d, from + i * from_stride);
  for (int round = 0; round < 2; ++round) {
    for (int i = 0; i < 8; ++i) {
      w[2 * i] = hn::InterleaveLower(d, v[i], v[i + 8]);
      w[2 * i + 1] = hn::InterleaveUpper(d, v[i], v[i + 8]);
    }
    for (int i = 0; i < 8; ++i) {
      v[2 * i] = hn::InterleaveLower(d, w[i], w[i + 8]);
      v[2 * i + 1] = hn::InterleaveUpper(d, w[i], w[i + 8]);
    }
  }
  for (int i = 0; i < 16; ++i) hn::StoreU(v[i], d, to + i * to_stride);
}

HWY_INLINE void turn(const uint8_t* strip, int64_t rows, int64_t bytes, uint8_t* target,
                     int64_t stride) {
  if (rows < kStrip || bytes < kStrip) return turn_plainly(strip, rows, bytes, target, stride);
  for (int64_t next = 0; next < bytes; next += kStrip) {
    const int64_t x = std::min(next, bytes - kStrip);
    turn_square(strip + x, bytes, target + x * stride, stride);
  }
}

#endif

void stretch_rows(const StretchedRows& rows) {
  const auto count = static_cast<int64_t>(rows.taps->places.size());
  const int64_t strip = std::min(kStrip, count);
  for (int64_t next = 0; next < count; next += kStrip) {
    const int64_t first = std::min(next, count - strip);
    for (int64_t i = 0; i < strip; ++i) {
      const int64_t at = rows.backwards ? count - 1 - first - i : first + i;
      const FixedTaps::Place& place = rows.taps->places[static_cast<std::size_t>(at)];
      add_taps({rows.source + place.first * rows.stride, rows.stride,
                rows.taps->weights.data() + place.at, place.count},
               rows.bytes, rows.strip + i * rows.bytes);
    }
    turn(rows.strip, strip, rows.bytes, rows.target + first, count);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace bitstill
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace bitstill {

HWY_EXPORT(stretch_rows);

void stretch_and_turn(const StretchedRows& rows) {
  HWY_DYNAMIC_DISPATCH(stretch_rows)(rows);
}

}  // namespace bitstill
#endif
