// What quantizers with a scale a bucket share: plain linear scaling goes to the fused kernels,
// everything else (mean, clipping, other ranges and scales) through codes and scales.
#pragma once

#include <string>
#include <vector>

#include "tensor_quantizer.hpp"

namespace bitstill {

class ScaledTensor : public TensorQuantizer {
 public:
  ScaledTensor(const QuantOptions& options, const Segment& segment);
  void quantize(const Piece& piece, bool stream, float* shadows) const override;
  void encode(const Piece& piece, uint8_t* codes, float* alpha, float* beta) const override;
  using TensorQuantizer::quantize;

  /// "quant.scaling = absmax" and the like: the first setting that keeps a tensor from plain linear
  /// scaling; empty: none.
  static std::string beyond_plain(const QuantOptions& options);

 protected:
  /// Codes and scales of a run of buckets.
  struct Coded {
    std::vector<uint8_t> codes;
    std::vector<float> alpha, beta;
  };
  Coded encode(const Piece& piece) const;

  /// The kernels of the method: -1, or the first bad bucket. `values` stand for the piece's
  /// masters; with `given` the scales are in alpha and beta already.
  virtual int64_t run_fused(const Piece& piece, bool stream, float* shadows) const = 0;
  virtual int64_t run_codes(const Piece& piece, const float* values, bool given, uint8_t* codes,
                            float* alpha, float* beta) const = 0;

  bool plain_;  // linear scaling from min to max in fp32, of the masters as they are

 private:
  float clip_;  // 0: none
};

}  // namespace bitstill
