// How small codes become and how fast they are read, beside zstd, memcpy and the entropy.
//
// The networks are stand-ins: weights like Gaussians, quantized uniformly in buckets of 256 with
// min-max scaling, as a trained student's are to within a few percent.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "bitstill/codec/packed_model.hpp"

namespace bitstill {

/// What of a network is quantized, and how many other values it has (biases, batch norm).
struct NetworkShape {
  std::string name;
  std::vector<std::vector<int64_t>> weights;
  int64_t others = 0;
};
NetworkShape student1_shape();
NetworkShape teacher_shape();

/// Bytes of one file.
struct CodecSizes {
  double entropy = 0;     // sum over tensors of count * zero-order entropy
  uint64_t payload = 0;   // codes with tables and states
  uint64_t zstd = 0;      // zstd -19 of the codes packed at fixed width
  uint64_t contents = 0;  // payload, scales, points and unquantized values
  uint64_t file = 0;
};
CodecSizes measure_sizes(const NetworkShape& network, std::size_t points);

/// One way of moving the same codes.
struct CodecTime {
  double seconds_median = 0, seconds_min = 0;
};
struct CodecTimes {
  CodecTime decode, huff0;   // rANS to codes; zstd's entropy decoder to codes (no matches)
  CodecTime unpack, memcpy;  // fixed width to codes; a copy of the codes
};

/// `count` codes, one thread, `rounds` times in turn.
CodecTimes measure_decode(int64_t count, std::size_t points, int rounds);

/// Sum over codes of -log2 of their share, in bits.
double entropy_bits(const std::vector<uint8_t>& codes);
/// Mean length in bits of a Huffman code for `codes` (0 for none; 1 where they are all alike).
double huffman_bits(const std::vector<uint8_t>& codes);

}  // namespace bitstill
