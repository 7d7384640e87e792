// The SIMD rANS decoder; Google Highway compiles this file once for every instruction set and picks
// the best one at run time. All give the bytes of RansDecoder::decode_reference.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "../src/codec/rans_kernel.cpp"  // from include/
#include <hwy/foreach_target.h>
// The line above includes this file again for every further target.
#include <hwy/highway.h>

#include <array>

#include "bitstill/codec/rans.hpp"

#ifndef BITSTILL_RANS_KERNEL_ONCE
#define BITSTILL_RANS_KERNEL_ONCE
namespace bitstill {

/// For each mask of 8 lanes, lane by lane: how many lanes before it read a word.
struct WordPlaces {
  alignas(8) std::array<std::array<uint8_t, 8>, 256> of{};
  std::array<uint8_t, 256> words{};
  constexpr WordPlaces() {
    for (unsigned mask = 0; mask < 256; ++mask) {
      uint8_t before = 0;
      for (unsigned lane = 0; lane < 8; ++lane) {
        of[mask][lane] = before;
        before = static_cast<uint8_t>(before + (mask >> lane & 1));
      }
      words[mask] = before;
    }
  }
};
inline constexpr WordPlaces kPlaces;

}  // namespace bitstill
#endif

HWY_BEFORE_NAMESPACE();
namespace bitstill {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

#if HWY_TARGET == HWY_SCALAR || HWY_TARGET == HWY_EMU128
std::size_t decode_rounds(RansRun&, std::size_t, uint8_t*) {
  return 0;
}
#else
using Lanes = hn::CappedTag<uint32_t, 8>;  // 4 or 8
using State = hn::Vec<Lanes>;

/// slots[place] of each lane. Loads of single lanes: a gather instruction takes twice the time on
/// AMD's processors (microcode) and, where patched against data sampling, on Intel's.
HWY_INLINE State look_up(const uint32_t* slots, State places) {
  const Lanes d;
#if HWY_TARGET <= HWY_AVX2
  alignas(32) uint64_t pairs[4];
  hn::Store(hn::BitCast(hn::Repartition<uint64_t, Lanes>(), places),
            hn::Repartition<uint64_t, Lanes>(), pairs);
  const auto at = [&](int lane) {
    return static_cast<int>(
        slots[lane % 2 == 0 ? static_cast<uint32_t>(pairs[lane / 2]) : pairs[lane / 2] >> 32]);
  };
  return State{_mm256_setr_epi32(at(0), at(1), at(2), at(3), at(4), at(5), at(6), at(7))};
#else
  return hn::GatherIndex(d, slots, hn::BitCast(hn::Rebind<int32_t, Lanes>(), places));
#endif
}

/// One decoding step of a vector of lanes: their symbols (with what else the slots hold), and the
/// words that lanes below 2^16 read from `next`.
HWY_INLINE State step(const uint32_t* slots, State& x, const uint8_t*& next) {
  const Lanes d;
  const hn::Rebind<uint16_t, Lanes> half;
  const hn::Rebind<uint8_t, Lanes> quarter;
  const State low = hn::Set(d, SymbolTable::kTotal - 1);
  const State slot = look_up(slots, hn::And(x, low));
  const State frequency = hn::Add(hn::ShiftRight<20>(slot), hn::Set(d, 1));
  x = hn::Add(hn::Mul(frequency, hn::ShiftRight<SymbolTable::kTotalBits>(x)),
              hn::And(hn::ShiftRight<8>(slot), low));
  const auto hungry = hn::Eq(hn::ShiftRight<16>(x), hn::Zero(d));
  uint8_t mask[8] = {};
  hn::StoreMaskBits(d, hungry, mask);
  const State words = hn::PromoteTo(d, hn::LoadU(half, reinterpret_cast<const uint16_t*>(next)));
  const State places = hn::PromoteTo(d, hn::LoadU(quarter, kPlaces.of[mask[0]].data()));
  const State mine = hn::TableLookupLanes(words, hn::IndicesFromVec(d, places));
  x = hn::IfThenElse(hungry, hn::Or(hn::ShiftLeft<16>(x), mine), x);
  next += 2 * kPlaces.words[mask[0]];
  return slot;
}

std::size_t decode_rounds(RansRun& run, std::size_t rounds, uint8_t* symbols) {
  const Lanes d;
  const hn::Rebind<uint8_t, Lanes> quarter;
  constexpr std::size_t kLanes = hn::MaxLanes(Lanes());
  constexpr std::size_t kVectors = RansDecoder::kFastLanes / kLanes;
  // A round reads at most 2 bytes a lane, and a load looks up to a vector's words ahead.
  constexpr std::ptrdiff_t kReach = 2 * RansDecoder::kFastLanes + 2 * kLanes;
  const uint32_t* const slots = run.table->slots.data();
  const uint8_t* next = run.next;
  State x[kVectors];
  for (std::size_t v = 0; v < kVectors; ++v) x[v] = hn::LoadU(d, run.states + v * kLanes);
  std::size_t done = 0;
  for (; done < rounds && run.end - next >= kReach; ++done) {
    for (std::size_t v = 0; v < kVectors; ++v) {
      const State slot = step(slots, x[v], next);
      hn::StoreU(hn::TruncateTo(quarter, slot), quarter, symbols + v * kLanes);
    }
    symbols += RansDecoder::kFastLanes;
  }
  for (std::size_t v = 0; v < kVectors; ++v) hn::StoreU(x[v], d, run.states + v * kLanes);
  run.next = next;
  return done;
}
#endif

}  // namespace HWY_NAMESPACE
}  // namespace bitstill
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace bitstill {

HWY_EXPORT(decode_rounds);

std::size_t decode_rans_rounds(RansRun& run, std::size_t rounds, uint8_t* symbols) {
  return HWY_DYNAMIC_DISPATCH(decode_rounds)(run, rounds, symbols);
}

}  // namespace bitstill
#endif
