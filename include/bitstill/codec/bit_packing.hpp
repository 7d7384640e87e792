// Codes of 1 to 8 bits in a stream without gaps: code i is bits [i * bits, (i + 1) * bits) of the
// stream, and bit k of the stream is bit k % 8 of byte k / 8 (lowest first). Unused bits are zero.
#pragma once

#include <cstddef>
#include <cstdint>

namespace bitstill {

/// Bytes that `count` codes of `bits` bits take: ceil(count * bits / 8), without overflow.
std::size_t packed_bytes(std::size_t count, int bits);

/// One byte a code in, packed_bytes(count, bits) bytes out. Bits above `bits` are ignored.
void pack_codes(const uint8_t* codes, std::size_t count, int bits, uint8_t* packed);

/// The inverse: reads packed_bytes(count, bits) bytes and not one more, writes `count`.
void unpack_codes(const uint8_t* packed, std::size_t count, int bits, uint8_t* codes);

/// What SIMD unpacks of `count` codes of 1..7 bits, from the first one on: returns how many, a
/// multiple of 8 (0 where the processor has no fast way).
std::size_t unpack_code_groups(const uint8_t* packed, std::size_t count, int bits, uint8_t* codes);

/// The same, one code at a time: the references for tests.
void pack_codes_reference(const uint8_t* codes, std::size_t count, int bits, uint8_t* packed);
void unpack_codes_reference(const uint8_t* packed, std::size_t count, int bits, uint8_t* codes);

}  // namespace bitstill
