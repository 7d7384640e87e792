// CRC-32C (Castagnoli), by the processor's instruction where it has one.
#pragma once

#include <cstddef>
#include <cstdint>

namespace bitstill {

/// CRC-32C of `count` bytes, continuing from `crc` (0 at the start). crc32c("123456789") =
/// 0xE3069283.
uint32_t crc32c(const void* bytes, std::size_t count, uint32_t crc = 0);

/// The same by a table, one byte at a time: the reference for tests.
uint32_t crc32c_reference(const void* bytes, std::size_t count, uint32_t crc = 0);

}  // namespace bitstill
