// The slow reference of the gradients' codes: one value after the other.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "bitstill/base/random.hpp"
#include "gradient_codes.hpp"

namespace bitstill {
namespace {

float unit_of(const float* values, int64_t count) {
  float greatest = 0;
  for (int64_t i = 0; i < count; ++i) {
    if (!std::isfinite(values[i])) return std::numeric_limits<float>::quiet_NaN();
    greatest = std::max(greatest, std::abs(values[i]));
  }
  const float unit = greatest / 7;
  return unit < std::numeric_limits<float>::min() ? 0 : unit;
}

float random_number(const RoundingStream& stream, uint64_t index) {
  const uint64_t block = index / 4;
  const auto words =
      philox({static_cast<uint32_t>(block), static_cast<uint32_t>(stream.a),
              static_cast<uint32_t>(stream.a >> 32), static_cast<uint32_t>(block >> 32)},
             stream.key);
  return static_cast<float>(words[index % 4] >> 12) * 0x1p-20f;
}

/// Where code i lies: its byte, and by how many bits it is moved there.
uint8_t* byte_of(uint8_t* codes, int64_t i) {
  return codes + i / kGradientGroup * kGroupBytes + i % kGroupBytes;
}
int moved(int64_t i) {
  return i % kGradientGroup < kGroupBytes ? 0 : 4;
}

}  // namespace

void reference_encode_gradients(const float* values, int64_t count, const RoundingStream& stream,
                                uint8_t* coded) {
  uint8_t* codes = coded + gradient_buckets(count) * 4;
  std::fill_n(codes, gradient_groups(count) * kGroupBytes, kTwoZeros);
  for (int64_t begin = 0; begin < count; begin += kGradientBucket, coded += 4) {
    const int64_t end = std::min(begin + kGradientBucket, count);
    const float unit = unit_of(values + begin, end - begin);
    std::memcpy(coded, &unit, 4);
    if (!(unit > 0)) continue;
    const float inverse = 1 / unit;
    for (int64_t i = begin; i < end; ++i) {
      const float t = std::clamp(values[i] * inverse + 8, 1.0f, 15.0f);
      const float u = random_number(stream, stream.first + static_cast<uint64_t>(i));
      const int code = static_cast<int>(std::floor(t + u)), other = 0xF0 >> moved(i);
      *byte_of(codes, i) = static_cast<uint8_t>((*byte_of(codes, i) & other) | code << moved(i));
    }
  }
}

void reference_decode_gradients(const uint8_t* coded, int64_t count, float* values) {
  const uint8_t* codes = coded + gradient_buckets(count) * 4;
  for (int64_t i = 0; i < count; ++i) {
    float unit = 0;
    std::memcpy(&unit, coded + i / kGradientBucket * 4, 4);
    const uint8_t byte = codes[i / kGradientGroup * kGroupBytes + i % kGroupBytes];
    values[i] = static_cast<float>((byte >> moved(i) & 15) - 8) * unit;
  }
}

}  // namespace bitstill
