// What the SIMD kernels share: vectors of floats from and to fp32 and bf16 (uint16_t, the upper
// half of a float). Included once for every instruction set, inside a file that Google Highway
// compiles for each.
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

}  // namespace HWY_NAMESPACE
}  // namespace bitstill
HWY_AFTER_NAMESPACE();

#endif
