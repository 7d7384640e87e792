// How one quantized tensor lies in a model file. Next to its codes and scales the file's metadata
// describes it:
//
//   {"shape": [6, 1, 5, 5], "count": 150, "bucket": 256, "bits": 4, "points": "uniform",
//    "coding": "fixed"}
#pragma once

#include <string>
#include <vector>

#include "bitstill/base/json.hpp"
#include "bitstill/quant/quantizer.hpp"

namespace bitstill {

struct PackedTensor {
  Json about;                  // the description above
  std::vector<uint8_t> codes;  // `count` codes of `bits` bits, lowest bit first
  std::vector<float> scales;   // alpha and beta of each bucket in turn
  std::vector<float> points;   // empty when "points" is "uniform": then point j is j / (2^bits - 1)
};

/// Error(model) naming `where` when the parts of `tensor` do not fit together.
PackedTensor pack_tensor(const QuantizedTensor& tensor, const std::string& where);

/// The inverse. Trusts nothing: Error(model) naming `where` when the description is unknown, the
/// parts do not fit it, or a scale or point is not finite. Allocates no more than `codes` hold.
QuantizedTensor unpack_tensor(const PackedTensor& packed, const std::string& where);

}  // namespace bitstill
