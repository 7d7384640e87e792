// SIMD kernels of ReLU, batch norm and max-pool in bfloat16; Google Highway compiles this file once
// for every instruction set and picks the best one at run time.
//
// Contents: bfloat16 vectors, rows in periods, sums, normalizing, pools, gradients, dispatch.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "../src/model/norm_kernel.cpp"  // from include/
#include <hwy/foreach_target.h>
// The line above includes this file again for every further target.
#include <hwy/highway.h>

#include <algorithm>
#include <numeric>
#include <vector>

#include "bitstill/model/norm_kernel.hpp"
#include "values-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace bitstill {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// Not max(): a NaN must stay one.
template <class D>
HWY_INLINE hn::Vec<D> relu(D d, hn::Vec<D> v) {
  return hn::IfThenZeroElse(hn::Lt(v, hn::Zero(d)), v);
}

/// Channels repeat with a period of whole vectors, so that no lane is idle where they are few; it
/// is at least eight vectors, so that sums do not wait for each other.
int64_t period_of(int64_t channels) {
  const auto lanes = static_cast<int64_t>(hn::Lanes(hn::ScalableTag<float>()));
  const int64_t period = std::lcm(channels, lanes);
  return (8 * lanes + period - 1) / period * period;
}

/// A period of one value a channel.
std::vector<float> repeated(const float* values, int64_t channels) {
  std::vector<float> result(static_cast<std::size_t>(period_of(channels)));
  for (std::size_t i = 0; i < result.size(); i += static_cast<std::size_t>(channels)) {
    std::copy_n(values, channels, result.data() + i);
  }
  return result;
}

/// Calls op(d, i, j) for value i of all rows, j its place in the period.
template <class Op>
HWY_INLINE void for_rows(const Bf16Rows& x, const Op& op) {
  const hn::ScalableTag<float> d;
  const hn::CappedTag<float, 1> one;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  const int64_t count = x.rows * x.channels, period = period_of(x.channels);
  for (int64_t begin = 0; begin < count; begin += period) {
    const int64_t size = std::min(period, count - begin);
    int64_t j = 0;
    for (; j + lanes <= size; j += lanes) op(d, begin + j, j);
    for (; j < size; ++j) op(one, begin + j, j);
  }
}

template <class D>
HWY_INLINE void add_to(D d, hn::Vec<D> v, float* sums) {
  hn::StoreU(hn::Add(hn::LoadU(d, sums), v), d, sums);
}

/// A period's sums become those of its channels.
void fold(const std::vector<float>& sums, int64_t channels, float* result) {
  std::fill_n(result, channels, 0.0f);
  for (std::size_t i = 0; i < sums.size(); i += static_cast<std::size_t>(channels)) {
    for (int64_t c = 0; c < channels; ++c) result[c] += sums[i + static_cast<std::size_t>(c)];
  }
}

template <bool kRelu, bool kSquares>
HWY_INLINE void sum_rows(const Bf16Rows& x, const float* mean, float* sums) {
  const std::vector<float> means = repeated(mean, x.channels);
  std::vector<float> parts(means.size());
  const float* const m = means.data();
  float* const part = parts.data();
  for_rows(x, [&](auto d, int64_t i, int64_t j) HWY_ATTR {
    const auto value = load(d, x.values + i);
    const auto v = hn::Sub(kRelu ? relu(d, value) : value, hn::LoadU(d, m + j));
    add_to(d, kSquares ? hn::Mul(v, v) : v, part + j);
  });
  fold(parts, x.channels, sums);
}

void relu_sums(const Bf16Rows& x, const float* mean, float* sums) {
  sum_rows<true, false>(x, mean, sums);
}

void relu_squares(const Bf16Rows& x, const float* mean, float* sums) {
  sum_rows<true, true>(x, mean, sums);
}

void plain_sums(const Bf16Rows& x, const float* mean, float* sums) {
  sum_rows<false, false>(x, mean, sums);
}

void plain_squares(const Bf16Rows& x, const float* mean, float* sums) {
  sum_rows<false, true>(x, mean, sums);
}

void relu_normalize(const Bf16Rows& x, const float* mean, const float* scale, const float* bias,
                    uint16_t* y) {
  const std::vector<float> means = repeated(mean, x.channels);
  const std::vector<float> scales = repeated(scale, x.channels);
  const std::vector<float> biases = repeated(bias, x.channels);
  const float *const m = means.data(), *const by = scales.data(), *const plus = biases.data();
  for_rows(x, [&](auto d, int64_t i, int64_t j) HWY_ATTR {
    const auto v = hn::Sub(relu(d, load(d, x.values + i)), hn::LoadU(d, m + j));
    store(d, hn::MulAdd(v, hn::LoadU(d, by + j), hn::LoadU(d, plus + j)), y + i);
  });
}

void normalize_relu(const Bf16Rows& x, const float* mean, const float* scale, const float* bias,
                    const uint16_t* added, uint16_t* y) {
  const std::vector<float> means = repeated(mean, x.channels);
  const std::vector<float> scales = repeated(scale, x.channels);
  const std::vector<float> biases = repeated(bias, x.channels);
  const float *const m = means.data(), *const by = scales.data(), *const plus = biases.data();
  for_rows(x, [&](auto d, int64_t i, int64_t j) HWY_ATTR {
    const auto v = hn::Sub(load(d, x.values + i), hn::LoadU(d, m + j));
    auto sum = hn::MulAdd(v, hn::LoadU(d, by + j), hn::LoadU(d, plus + j));
    if (added != nullptr) sum = hn::Add(sum, load(d, added + i));
    store(d, relu(d, sum), y + i);
  });
}

/// dy where y is above zero, or NaN.
template <class D>
HWY_INLINE hn::Vec<D> passed(D d, const uint16_t* y, const uint16_t* dy) {
  return hn::IfThenZeroElse(hn::Eq(load(d, y), hn::Zero(d)), load(d, dy));
}

void normalize_relu_sums(const Bf16Rows& x, const uint16_t* y, const uint16_t* dy,
                         const float* mean, float* dy_sums, float* dyx_sums) {
  const std::vector<float> means = repeated(mean, x.channels);
  std::vector<float> first(means.size()), second(means.size());
  const float* const m = means.data();
  float *const by_dy = first.data(), *const by_dyx = second.data();
  for_rows(x, [&](auto d, int64_t i, int64_t j) HWY_ATTR {
    const auto v = hn::Sub(load(d, x.values + i), hn::LoadU(d, m + j));
    const auto g = passed(d, y + i, dy + i);
    add_to(d, g, by_dy + j);
    hn::StoreU(hn::MulAdd(g, v, hn::LoadU(d, by_dyx + j)), d, by_dyx + j);
  });
  fold(first, x.channels, dy_sums);
  fold(second, x.channels, dyx_sums);
}

void normalize_relu_gradient(const Bf16Rows& x, const uint16_t* y, const uint16_t* dy,
                             const NormGradient& gradient, uint16_t* dx, uint16_t* dadded) {
  const std::vector<float> mean = repeated(gradient.mean, x.channels);
  const std::vector<float> by_dy = repeated(gradient.by_dy, x.channels);
  const std::vector<float> by_x = repeated(gradient.by_x, x.channels);
  const std::vector<float> constant = repeated(gradient.constant, x.channels);
  const float *const m = mean.data(), *const dys = by_dy.data();
  const float *const xs = by_x.data(), *const plus = constant.data();
  for_rows(x, [&](auto d, int64_t i, int64_t j) HWY_ATTR {
    const auto g = passed(d, y + i, dy + i);
    const auto centred = hn::Sub(load(d, x.values + i), hn::LoadU(d, m + j));
    const auto rest = hn::MulAdd(centred, hn::LoadU(d, xs + j), hn::LoadU(d, plus + j));
    store(d, hn::MulAdd(g, hn::LoadU(d, dys + j), rest), dx + i);
    if (dadded != nullptr) store(d, g, dadded + i);
  });
}

/// Values c.. of one pool, whose first value is x[0]. After ReLU, bfloat16 are in order as
/// integers.
template <class D>
HWY_INLINE void pick(D d, const uint16_t* x, int64_t right, int64_t below, const uint16_t* flip,
                     uint16_t* picked, uint16_t* where) {
  const hn::RebindToUnsigned<D> du;
  const auto flips = hn::BitCast(d, hn::LoadU(du, flip));
  const auto value = [&](int64_t at) HWY_ATTR {
    const auto bits = hn::BitCast(d, hn::LoadU(du, x + at));
    return hn::Xor(hn::Max(bits, hn::Zero(d)), flips);
  };
  auto best = value(0), place = hn::Zero(d);
  const auto take = [&](int64_t at, int16_t number) HWY_ATTR {
    const auto other = value(at);
    place = hn::IfThenElse(hn::Gt(other, best), hn::Set(d, number), place);
    best = hn::Max(best, other);
  };
  take(right, 1);
  take(below, 2);
  take(below + right, 3);
  hn::StoreU(hn::BitCast(du, hn::Xor(best, flips)), du, picked);
  hn::StoreU(hn::BitCast(du, place), du, where);
}

void relu_pool(const uint16_t* x, const PooledImages& images, const uint16_t* flip,
               uint16_t* picked, uint16_t* where) {
  const hn::ScalableTag<int16_t> d;
  const hn::CappedTag<int16_t, 1> one;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  const int64_t channels = images.channels, row = images.width * channels;
  const int64_t end = images.count * images.pixels(), last = images.count * images.pooled();
  std::vector<uint16_t> flips(static_cast<std::size_t>(channels + lanes));
  std::copy_n(flip, channels, flips.data());
  int64_t to = 0;
  for (int64_t image = 0; image < images.count; ++image) {
    for (int64_t y = 0; y + 1 < images.height; y += 2) {
      int64_t from = image * images.pixels() + y * row;
      for (int64_t pair = 0; pair + 1 < images.width; pair += 2, from += 2 * channels) {
        for (int64_t c = 0; c < channels;) {
          // A vector may run over into the next pool, which comes later; the last may not.
          const bool whole = to + c + lanes <= last && from + c + row + channels + lanes <= end;
          const int64_t i = from + c, o = to + c;
          if (whole) {
            pick(d, x + i, channels, row, flips.data() + c, picked + o, where + o);
          } else {
            pick(one, x + i, channels, row, flips.data() + c, picked + o, where + o);
          }
          c += whole ? lanes : 1;
        }
        to += channels;
      }
    }
  }
}

void gradient_sums(const Bf16Rows& x, const uint16_t* dy, const float* mean, float* dy_sums,
                   float* dyx_sums) {
  const std::vector<float> means = repeated(mean, x.channels);
  std::vector<float> first(means.size()), second(means.size());
  const float* const m = means.data();
  float *const by_dy = first.data(), *const by_dyx = second.data();
  for_rows(x, [&](auto d, int64_t i, int64_t j) HWY_ATTR {
    const auto v = hn::Sub(relu(d, load(d, x.values + i)), hn::LoadU(d, m + j));
    const auto g = load(d, dy + i);
    add_to(d, g, by_dy + j);
    hn::StoreU(hn::MulAdd(g, v, hn::LoadU(d, by_dyx + j)), d, by_dyx + j);
  });
  fold(first, x.channels, dy_sums);
  fold(second, x.channels, dyx_sums);
}

template <class D>
HWY_INLINE hn::Vec<D> gradient_of(D d, hn::Vec<D> x, hn::Vec<D> dy, const NormGradient& g,
                                  int64_t j) {
  const auto centred = hn::Sub(x, hn::LoadU(d, g.mean + j));
  const auto rest = hn::MulAdd(centred, hn::LoadU(d, g.by_x + j), hn::LoadU(d, g.constant + j));
  const auto dx = hn::MulAdd(dy, hn::LoadU(d, g.by_dy + j), rest);
  return hn::IfThenZeroElse(hn::Le(x, hn::Zero(d)), dx);
}

void relu_norm_gradient(const Bf16Rows& x, const uint16_t* dy, const NormGradient& gradient,
                        uint16_t* dx) {
  const std::vector<float> mean = repeated(gradient.mean, x.channels);
  const std::vector<float> by_dy = repeated(gradient.by_dy, x.channels);
  const std::vector<float> by_x = repeated(gradient.by_x, x.channels);
  const std::vector<float> constant = repeated(gradient.constant, x.channels);
  const NormGradient g{mean.data(), by_dy.data(), by_x.data(), constant.data()};
  for_rows(x, [&](auto d, int64_t i, int64_t j) HWY_ATTR {
    store(d, gradient_of(d, load(d, x.values + i), load(d, dy + i), g, j), dx + i);
  });
}

/// dx of some channels of one pixel, number `place` of its pool; dy = nullptr: in no pool.
template <class D>
HWY_INLINE void pixel_gradient(D d, const uint16_t* x, const uint16_t* dy, const uint16_t* where,
                               uint32_t place, const NormGradient& g, int64_t c, uint16_t* dx) {
  auto gradient = hn::Zero(d);
  if (dy != nullptr) {
    const hn::RebindToUnsigned<D> du;
    const hn::Rebind<uint16_t, D> d16;
    const auto places = hn::PromoteTo(du, hn::LoadU(d16, where));
    const auto mine = hn::RebindMask(d, hn::Eq(places, hn::Set(du, place)));
    gradient = hn::IfThenElseZero(mine, load(d, dy));
  }
  store(d, gradient_of(d, load(d, x), gradient, g, c), dx);
}

void relu_norm_pool_gradient(const uint16_t* x, const PooledImages& images, const uint16_t* dy,
                             const uint16_t* where, const NormGradient& gradient, uint16_t* dx) {
  const hn::ScalableTag<float> d;
  const hn::CappedTag<float, 1> one;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  const int64_t channels = images.channels, columns = images.width / 2;
  const int64_t end = images.count * images.pixels(), last = images.count * images.pooled();
  const auto padded = [&](const float* values) {
    std::vector<float> result(static_cast<std::size_t>(channels + lanes));
    std::copy_n(values, channels, result.data());
    return result;
  };
  const auto mean = padded(gradient.mean), by_dy = padded(gradient.by_dy);
  const auto by_x = padded(gradient.by_x), constant = padded(gradient.constant);
  const NormGradient g{mean.data(), by_dy.data(), by_x.data(), constant.data()};
  int64_t i = 0;
  for (int64_t row = 0; row < images.count * images.height; ++row) {
    const int64_t image = row / images.height, y = row % images.height;
    for (int64_t column = 0; column < images.width; ++column, i += channels) {
      const bool in_pool = y / 2 < images.height / 2 && column / 2 < columns;
      const int64_t pool = (y / 2) * columns + column / 2;
      const int64_t o = in_pool ? image * images.pooled() + pool * channels : 0;
      const auto place = static_cast<uint32_t>(2 * (y % 2) + column % 2);
      for (int64_t c = 0; c < channels;) {
        // As in relu_pool: over into the next pixel, but not past the last.
        const bool whole = i + c + lanes <= end && (!in_pool || o + c + lanes <= last);
        const uint16_t* const from = in_pool ? dy + o + c : nullptr;
        if (whole) {
          pixel_gradient(d, x + i + c, from, where + o + c, place, g, c, dx + i + c);
        } else {
          pixel_gradient(one, x + i + c, from, where + o + c, place, g, c, dx + i + c);
        }
        c += whole ? lanes : 1;
      }
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace bitstill
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace bitstill {

HWY_EXPORT(relu_sums);
HWY_EXPORT(relu_squares);
HWY_EXPORT(relu_normalize);
HWY_EXPORT(relu_pool);
HWY_EXPORT(gradient_sums);
HWY_EXPORT(relu_norm_gradient);
HWY_EXPORT(relu_norm_pool_gradient);
HWY_EXPORT(plain_sums);
HWY_EXPORT(plain_squares);
HWY_EXPORT(normalize_relu);
HWY_EXPORT(normalize_relu_sums);
HWY_EXPORT(normalize_relu_gradient);

void relu_sums(const Bf16Rows& x, const float* mean, float* sums) {
  HWY_DYNAMIC_DISPATCH(relu_sums)(x, mean, sums);
}

void relu_squares(const Bf16Rows& x, const float* mean, float* sums) {
  HWY_DYNAMIC_DISPATCH(relu_squares)(x, mean, sums);
}

void relu_normalize(const Bf16Rows& x, const float* mean, const float* scale, const float* bias,
                    uint16_t* y) {
  HWY_DYNAMIC_DISPATCH(relu_normalize)(x, mean, scale, bias, y);
}

void relu_pool(const uint16_t* x, const PooledImages& images, const uint16_t* flip,
               uint16_t* picked, uint16_t* where) {
  HWY_DYNAMIC_DISPATCH(relu_pool)(x, images, flip, picked, where);
}

void gradient_sums(const Bf16Rows& x, const uint16_t* dy, const float* mean, float* dy_sums,
                   float* dyx_sums) {
  HWY_DYNAMIC_DISPATCH(gradient_sums)(x, dy, mean, dy_sums, dyx_sums);
}

void relu_norm_gradient(const Bf16Rows& x, const uint16_t* dy, const NormGradient& gradient,
                        uint16_t* dx) {
  HWY_DYNAMIC_DISPATCH(relu_norm_gradient)(x, dy, gradient, dx);
}

void relu_norm_pool_gradient(const uint16_t* x, const PooledImages& images, const uint16_t* dy,
                             const uint16_t* where, const NormGradient& gradient, uint16_t* dx) {
  HWY_DYNAMIC_DISPATCH(relu_norm_pool_gradient)(x, images, dy, where, gradient, dx);
}

void plain_sums(const Bf16Rows& x, const float* mean, float* sums) {
  HWY_DYNAMIC_DISPATCH(plain_sums)(x, mean, sums);
}

void plain_squares(const Bf16Rows& x, const float* mean, float* sums) {
  HWY_DYNAMIC_DISPATCH(plain_squares)(x, mean, sums);
}

void normalize_relu(const Bf16Rows& x, const float* mean, const float* scale, const float* bias,
                    const uint16_t* added, uint16_t* y) {
  HWY_DYNAMIC_DISPATCH(normalize_relu)(x, mean, scale, bias, added, y);
}

void normalize_relu_sums(const Bf16Rows& x, const uint16_t* y, const uint16_t* dy,
                         const float* mean, float* dy_sums, float* dyx_sums) {
  HWY_DYNAMIC_DISPATCH(normalize_relu_sums)(x, y, dy, mean, dy_sums, dyx_sums);
}

void normalize_relu_gradient(const Bf16Rows& x, const uint16_t* y, const uint16_t* dy,
                             const NormGradient& gradient, uint16_t* dx, uint16_t* dadded) {
  HWY_DYNAMIC_DISPATCH(normalize_relu_gradient)(x, y, dy, gradient, dx, dadded);
}

}  // namespace bitstill
#endif
