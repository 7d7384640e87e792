// The SIMD rANS decoder for few symbols, on AVX-512 (VBMI2). Sorted starts of 64 symbols lie in
// registers, and a search in three steps of four finds the symbols of 32 slots at once. States are
// kept as two vectors of 16-bit halves, so that lanes stay in order from slot to symbol.
#define HWY_WANT_AVX3_DL
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "../src/codec/rans_search_kernel.cpp"  // from include/
#include <hwy/foreach_target.h>
// The line above includes this file again for every further target.
#include <hwy/highway.h>

#include <algorithm>

#include "bitstill/codec/rans.hpp"

HWY_BEFORE_NAMESPACE();
namespace bitstill {
namespace HWY_NAMESPACE {

#if HWY_TARGET == HWY_AVX3_DL

constexpr std::size_t kSymbols = 64;

/// Words by symbol; those behind the last one are `rest`.
struct WordTable {
  __m512i low, high;
  WordTable(const std::vector<uint32_t>& words, uint16_t rest) {
    alignas(64) uint16_t all[kSymbols];
    std::fill(std::begin(all), std::end(all), rest);
    std::copy(words.begin(), words.end(), all);
    low = _mm512_load_si512(all);
    high = _mm512_load_si512(all + 32);
  }
  HWY_INLINE __m512i operator[](__m512i symbols) const {
    return _mm512_permutex2var_epi16(low, symbols, high);
  }
};

/// One step: of each quarter but the first, what precedes its start, by what was found so far.
struct Quarters {
  __m512i before[3];
  Quarters(const SymbolTable& table, std::size_t symbols) {  // symbols are left open so far
    alignas(64) uint16_t words[32];
    for (std::size_t quarter = 1; quarter < 4; ++quarter) {
      for (std::size_t i = 0; i < 32; ++i) {
        const std::size_t first = (i * symbols + quarter * symbols / 4) % kSymbols;
        const uint32_t start = first < table.start.size() ? table.start[first] : table.kTotal;
        words[i] = static_cast<uint16_t>(start - 1);
      }
      before[quarter - 1] = _mm512_load_si512(words);
    }
  }
  /// Appends two bits. A difference below 0 says: the slot is in this quarter or a later one.
  HWY_INLINE __m512i find(__m512i found, __m512i slots) const {
    const auto difference = [&](int i) HWY_ATTR {
      return _mm512_sub_epi16(_mm512_permutexvar_epi16(found, before[i]), slots);
    };
    const __m512i middle = difference(1);
    const __m512i lower = _mm512_ternarylogic_epi64(middle, difference(0), difference(2), 0xAC);
    return _mm512_shldi_epi16(_mm512_shldi_epi16(found, middle, 1), lower, 1);
  }
};

struct Tables {
  WordTable starts, frequencies;
  Quarters first, second, third;
  explicit Tables(const SymbolTable& table)
      : starts(table.start, SymbolTable::kTotal),
        frequencies(table.frequency, 0),
        first(table, 64),
        second(table, 16),
        third(table, 4) {}
};

/// 32 states in halves.
struct States {
  __m512i low, high;

  void load(const uint32_t* x) {
    const __m512i a = _mm512_loadu_si512(x), b = _mm512_loadu_si512(x + 16);
    const auto half = [&](__m512i y, __m512i z) HWY_ATTR {
      return _mm512_inserti64x4(_mm512_castsi256_si512(_mm512_cvtepi32_epi16(y)),
                                _mm512_cvtepi32_epi16(z), 1);
    };
    low = half(a, b);
    high = half(_mm512_srli_epi32(a, 16), _mm512_srli_epi32(b, 16));
  }
  void store(uint32_t* x) const {
    alignas(64) uint16_t lows[32], highs[32];
    _mm512_store_si512(lows, low);
    _mm512_store_si512(highs, high);
    for (int lane = 0; lane < 32; ++lane) x[lane] = uint32_t{highs[lane]} << 16 | lows[lane];
  }

  /// x = f (x / 2^12) + slot - start, then those below 2^16 read their words.
  HWY_INLINE void step(const Tables& tables, const uint8_t*& next, uint8_t* symbols) {
    const __m512i slots = _mm512_and_si512(low, _mm512_set1_epi16(SymbolTable::kTotal - 1));
    __m512i found = tables.first.find(_mm512_setzero_si512(), slots);
    found = tables.second.find(found, slots);
    found = tables.third.find(found, slots);
    const __m512i frequency = tables.frequencies[found];
    const __m512i rest = _mm512_sub_epi16(slots, tables.starts[found]);
    const __m512i quotient = _mm512_shldi_epi16(high, low, 16 - SymbolTable::kTotalBits);
    const __m512i above = _mm512_srli_epi16(high, SymbolTable::kTotalBits);  // its bits from 16 on
    low = _mm512_add_epi16(_mm512_mullo_epi16(frequency, quotient), rest);
    high = _mm512_add_epi16(_mm512_mulhi_epu16(frequency, quotient),
                            _mm512_mullo_epi16(frequency, above));
    const __mmask32 carry = _mm512_cmplt_epu16_mask(low, rest);
    const __mmask32 hungry = _kandn_mask32(carry, _mm512_testn_epi16_mask(high, high));
    high = _mm512_mask_sub_epi16(high, carry, high, _mm512_set1_epi16(-1));
    high = _mm512_mask_mov_epi16(high, hungry, low);
    low = _mm512_mask_expand_epi16(low, hungry, _mm512_loadu_si512(next));
    next += 2 * static_cast<std::size_t>(__builtin_popcount(hungry));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(symbols), _mm512_cvtepi16_epi8(found));
  }
};

std::size_t search_rounds(RansRun& run, std::size_t rounds, uint8_t* symbols) {
  static_assert(RansDecoder::kFastLanes == 64);
  if (run.table->start.size() > kSymbols) return 0;
  // A round reads at most 2 bytes a lane, and a load looks 64 bytes ahead.
  constexpr std::ptrdiff_t kReach = 2 * RansDecoder::kFastLanes + 64;
  const Tables tables(*run.table);
  const uint8_t* next = run.next;
  States front, back;
  front.load(run.states);
  back.load(run.states + 32);
  std::size_t done = 0;
  for (; done < rounds && run.end - next >= kReach; ++done, symbols += 64) {
    front.step(tables, next, symbols);
    back.step(tables, next, symbols + 32);
  }
  front.store(run.states);
  back.store(run.states + 32);
  run.next = next;
  return done;
}

#else

std::size_t search_rounds(RansRun&, std::size_t, uint8_t*) {
  return 0;
}

#endif

}  // namespace HWY_NAMESPACE
}  // namespace bitstill
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace bitstill {

HWY_EXPORT(search_rounds);

std::size_t search_rans_rounds(RansRun& run, std::size_t rounds, uint8_t* symbols) {
  return HWY_DYNAMIC_DISPATCH(search_rounds)(run, rounds, symbols);
}

}  // namespace bitstill
#endif
