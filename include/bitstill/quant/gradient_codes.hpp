// Gradients in 4 bits on their way between ranks (QSGD, Alistarh et al. 2017, scaled by the largest
// magnitude).
//
// Per bucket of 128 values v, the last one shorter: unit = fl32(max |v| / 7), inverse = fl32(1 /
// unit),
//   code  = floor(t + u), t = fl32(fl32(v inverse) + 8) clamped to [1, 15], u of [0, 1) in 20 bits
//   value = fl32((code - 8) unit)
// so a value's expectation is the value itself (to 2^-19 of the unit) and zeros stay zeros. A
// bucket with a value that is not finite comes out as NaNs, one whose unit would be denormal as
// zeros. Equal bits on every instruction set and from the slow reference.
//
// Bytes: the units of all buckets, fp32; then 16 bytes for each 32 values, byte k with code k in
// its lower and code 16 + k in its upper half; codes behind the last value are 8.
#pragma once

#include <array>
#include <cstdint>

namespace bitstill {

/// Values [0, count) round by numbers first, first + 1, ... of RandomStream(seed, purpose, a).
struct RoundingStream {
  std::array<uint32_t, 2> key{};  // stream_key(seed, purpose)
  uint64_t a = 0;
  uint64_t first = 0;  // a multiple of 4; first + count at most 2^34
};

/// Values that share 16 bytes: parts of a buffer that begin at multiples of them waste none.
constexpr int64_t kGradientGroup = 32;
/// Bytes of `count` values.
int64_t gradient_code_bytes(int64_t count);

void encode_gradients(const float* values, int64_t count, const RoundingStream& stream,
                      uint8_t* coded);
void decode_gradients(const uint8_t* coded, int64_t count, float* values);
/// sums[i] += the values.
void add_gradients(const uint8_t* coded, int64_t count, float* sums);

/// The same in plain scalar code, from the definitions.
void reference_encode_gradients(const float* values, int64_t count, const RoundingStream& stream,
                                uint8_t* coded);
void reference_decode_gradients(const uint8_t* coded, int64_t count, float* values);

}  // namespace bitstill
