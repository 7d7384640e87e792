// Quantizers over flat buffers: full-precision masters -> quantized shadows, in one fused pass.
//
// Source: Polino, Pascanu, Alistarh, ICLR 2018, section 2; the decode formula everywhere is
//   w = fl32(fl32(p_j * alpha) + beta), without a fused multiply-add.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "bitstill/base/json.hpp"

namespace bitstill {

struct QuantOptions {
  std::string method = "none";       // quant.method: none | uniform
  int64_t bits = 4;                  // quant.bits: 1..8
  int64_t bucket = 256;              // quant.bucket: values a scale; 0: one bucket a tensor
  std::string rounding = "nearest";  // quant.rounding: nearest | stochastic
  std::string tensors = "weights";   // quant.tensors: weights | all
  bool first_layer = true;           // quant.first_layer, quant.last_layer: quantize it
  bool last_layer = true;
};
/// Error(settings) naming the key, the value and what is allowed.
void check(const QuantOptions& options);

/// One parameter's place in the flat buffers.
struct Segment {
  std::string name;
  std::vector<int64_t> shape;
  int64_t offset = 0;      // elements; a multiple of 16 (64 bytes)
  int64_t count = 0;       // elements
  bool quantized = false;  // otherwise copied, and stored as fp32
};

/// What a stored quantized tensor is made of.
struct QuantizedTensor {
  std::vector<int64_t> shape;
  int64_t count = 0, bucket = 0;   // bucket: the real one (never 0)
  std::vector<float> points;       // p_0 <= ... <= p_{s-1}
  std::vector<float> alpha, beta;  // one each a bucket
  std::vector<uint8_t> codes;      // one byte a value, 0..s-1
};

/// With b = i / bucket, w[i] = fl32(fl32(points[codes[i]] * alpha[b]) + beta[b]); out: `count`
/// floats. Throws Error(model) when the parts do not fit each other, so files from strangers may
/// come here.
void decode(const QuantizedTensor& tensor, float* out);

/// Maps masters to shadows. Thread-safe for const use.
class Quantizer {
 public:
  virtual ~Quantizer() = default;
  /// shadows[i] = Q(masters[i]) in quantized segments, masters[i] in the others; both flat buffers.
  /// Padding between segments becomes zero. `step` names the random stream of stochastic rounding;
  /// the result does not depend on the number of threads (LibTorch's). Throws Error(numbers) naming
  /// the tensor and the bucket when its range overflows or is not finite.
  virtual void quantize(const float* masters, float* shadows, int64_t step) const = 0;
  /// Codes, points and scales of one segment of the flat buffer `masters`; decode() of them equals
  /// quantize()'s shadows bit for bit for the same step.
  virtual QuantizedTensor encode(const Segment& segment, const float* masters,
                                 int64_t step) const = 0;
  /// Settings that a model file carries.
  virtual Json describe() const = 0;
};

/// Null for method none. The segments are copied.
std::unique_ptr<Quantizer> make_quantizer(const QuantOptions& options,
                                          const std::vector<Segment>& segments, uint64_t seed);

/// method.md's true count in bits: sum over quantized tensors of b n + 64 ceil(n / k), plus 32 for
/// every unquantized value and running statistic. A tensor that would exceed fp32 is not quantized.
int64_t formula_bits(const QuantOptions& options, const std::vector<Segment>& segments,
                     int64_t running_statistics);

/// Whether quantizing `count` values this way takes fewer bytes than fp32 (codes, scales, points).
bool worth_quantizing(const QuantOptions& options, int64_t count);

}  // namespace bitstill
