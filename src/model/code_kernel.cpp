// Codes in SIMD; Google Highway compiles this file once for every instruction set and picks the
// best one at run time.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "../src/model/code_kernel.cpp"  // from include/
#include <hwy/foreach_target.h>
// The line above includes this file again for every further target.
#include <hwy/highway.h>

#include <bit>

#include "code_kernel.hpp"

HWY_BEFORE_NAMESPACE();
namespace bitstill {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// The codes of x by + plus + 1/2, cut off.
template <class D>
HWY_INLINE void write_codes(D d, const uint16_t* x, hn::Vec<D> by, hn::Vec<D> plus,
                            uint8_t* codes) {
  const hn::RebindToUnsigned<D> du;
  const hn::Rebind<uint16_t, D> d16;
  const hn::Rebind<int32_t, D> di;
  const hn::Rebind<uint8_t, D> d8;
  const auto value = hn::BitCast(d, hn::ShiftLeft<16>(hn::PromoteTo(du, hn::LoadU(d16, x))));
  const auto v = hn::Add(hn::MulAdd(value, by, plus), hn::Set(d, 0.5f));
  const auto cut = hn::IfThenElseZero(hn::Gt(v, hn::Zero(d)), hn::Min(v, hn::Set(d, 255.0f)));
  hn::StoreU(hn::DemoteTo(d8, hn::ConvertTo(di, cut)), d8, codes);
}

void to_codes(const uint16_t* x, int64_t count, float by, float plus, uint8_t* codes) {
  const hn::ScalableTag<float> d;
  const hn::CappedTag<float, 1> one;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    write_codes(d, x + i, hn::Set(d, by), hn::Set(d, plus), codes + i);
  }
  for (; i < count; ++i) write_codes(one, x + i, hn::Set(one, by), hn::Set(one, plus), codes + i);
}

void normalize_to_codes(const Bf16Rows& x, const float* scale, const float* shift, uint8_t* codes) {
  const hn::ScalableTag<float> d;
  const hn::CappedTag<float, 1> one;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  for (int64_t i = 0; i < x.rows * x.channels; i += x.channels) {
    int64_t c = 0;
    for (; c + lanes <= x.channels; c += lanes) {
      write_codes(d, x.values + i + c, hn::LoadU(d, scale + c), hn::LoadU(d, shift + c),
                  codes + i + c);
    }
    for (; c < x.channels; ++c) {
      write_codes(one, x.values + i + c, hn::LoadU(one, scale + c), hn::LoadU(one, shift + c),
                  codes + i + c);
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace bitstill
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace bitstill {

HWY_EXPORT(to_codes);
HWY_EXPORT(normalize_to_codes);

void to_codes(const uint16_t* x, int64_t count, float by, float plus, uint8_t* codes) {
  HWY_DYNAMIC_DISPATCH(to_codes)(x, count, by, plus, codes);
}

void normalize_to_codes(const Bf16Rows& x, const float* scale, const float* shift, uint8_t* codes) {
  HWY_DYNAMIC_DISPATCH(normalize_to_codes)(x, scale, shift, codes);
}

namespace {

uint8_t code(uint16_t x, float by, float plus) {
  const double value = double{std::bit_cast<float>(uint32_t{x} << 16)} * by + plus + 0.5;
  return static_cast<uint8_t>(value > 0 ? (value < 255 ? value : 255.0) : 0.0);
}

}  // namespace

void to_codes_reference(const uint16_t* x, int64_t count, float by, float plus, uint8_t* codes) {
  for (int64_t i = 0; i < count; ++i) codes[i] = code(x[i], by, plus);
}

void normalize_to_codes_reference(const Bf16Rows& x, const float* scale, const float* shift,
                                  uint8_t* codes) {
  for (int64_t i = 0; i < x.rows * x.channels; ++i) {
    codes[i] = code(x.values[i], scale[i % x.channels], shift[i % x.channels]);
  }
}

}  // namespace bitstill
#endif
