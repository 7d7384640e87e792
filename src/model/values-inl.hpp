// What the SIMD kernels share: vectors of floats from and to fp32 and bf16 (uint16_t, the upper
// half of a float), loops over them. Included once for every instruction set, inside a file that
// Google Highway compiles for each.
#if defined(BITSTILL_VALUES_TARGET) == defined(HWY_TARGET_TOGGLE)
#ifdef BITSTILL_VALUES_TARGET
#undef BITSTILL_VALUES_TARGET
#else
#define BITSTILL_VALUES_TARGET
#endif

#include <hwy/highway.h>

#include <cstdint>

HWY_BEFORE_NAMESPACE();
namespace bitstill {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

template <class D>
HWY_INLINE hn::Vec<D> load(D d, const float* from) {
  return hn::LoadU(d, from);
}

template <class D>
HWY_INLINE hn::Vec<D> load(D d, const uint16_t* from) {
  const hn::RebindToUnsigned<D> du;
  const hn::Rebind<uint16_t, D> d16;
  return hn::BitCast(d, hn::ShiftLeft<16>(hn::PromoteTo(du, hn::LoadU(d16, from))));
}

template <class D>
HWY_INLINE void store(D d, hn::Vec<D> v, float* to) {
  hn::StoreU(v, d, to);
}

/// To the nearest bfloat16, ties to even; NaN stays NaN.
template <class D>
HWY_INLINE void store(D /*d*/, hn::Vec<D> v, uint16_t* to) {
  const hn::RebindToUnsigned<D> du;
  const hn::RebindToSigned<D> di;
  const auto bits = hn::BitCast(du, v);
  const auto odd = hn::And(hn::ShiftRight<16>(bits), hn::Set(du, 1));
  const auto sum = hn::Add(bits, hn::Add(odd, hn::Set(du, 0x7FFF)));
  const auto number = hn::RebindMask(du, hn::Eq(v, v));
  const auto rounded = hn::IfThenElse(number, hn::ShiftRight<16>(sum), hn::Set(du, 0x7FC0));
  const hn::Rebind<uint16_t, D> d16;
  hn::StoreU(hn::DemoteTo(d16, hn::BitCast(di, rounded)), d16, to);
}

/// Values i [to count) by whole vectors, then one by one.
template <class Step>
HWY_INLINE void over(int64_t count, const Step& step) {
  const hn::ScalableTag<float> d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t i = 0;
  for (; i + lanes <= count; i += lanes) step(d, i);
  const hn::CappedTag<float, 1> one;
  for (; i < count; ++i) step(one, i);
}

template <class Value>
HWY_INLINE float dot(const Value* one, const Value* other, int64_t count) {
  const hn::ScalableTag<float> d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  auto sum = hn::Zero(d), more = hn::Zero(d);
  int64_t i = 0;
  for (; i + 2 * lanes <= count; i += 2 * lanes) {
    sum = hn::MulAdd(load(d, one + i), load(d, other + i), sum);
    more = hn::MulAdd(load(d, one + i + lanes), load(d, other + i + lanes), more);
  }
  for (; i + lanes <= count; i += lanes) {
    sum = hn::MulAdd(load(d, one + i), load(d, other + i), sum);
  }
  float total = hn::GetLane(hn::SumOfLanes(d, hn::Add(sum, more)));
  const hn::CappedTag<float, 1> rest;
  for (; i < count; ++i) total += hn::GetLane(hn::Mul(load(rest, one + i), load(rest, other + i)));
  return total;
}

}  // namespace HWY_NAMESPACE
}  // namespace bitstill
HWY_AFTER_NAMESPACE();

#endif
