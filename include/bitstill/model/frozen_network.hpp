// A network for inference alone: norms folded, weights laid out for the processor, 8-bit by choice.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "bitstill/model/affine_layer.hpp"

namespace bitstill {

class WinogradConvolution;

enum class InferencePrecision { fp32, bf16, int8 };
/// "fp32", "bf16", "int8".
const char* precision_name(InferencePrecision precision);

/// On the CPU. Ready after construction; forward() is const and keeps nothing.
class FrozenNetwork {
 public:
  /// `sample` [n, C, H, W] fp32, normalized: for int8 it shows how large each layer's answers
  /// become (a few hundred images, the same on all ranks); else only its shape counts. Null, with
  /// the reason in `obstacle`, where fold_norms() cannot fold, the network is not on the CPU or has
  /// nothing for this precision, LibTorch lacks oneDNN, or the processor the instructions. What
  /// else goes wrong throws.
  static std::unique_ptr<FrozenNetwork> make(const Network& network, InferencePrecision precision,
                                             const at::Tensor& sample, std::string* obstacle);

  InferencePrecision precision() const { return precision_; }

  /// x [n, C, H, W] fp32 (n = 0 allowed) -> logits [n, classes] fp32.
  at::Tensor forward(const at::Tensor& x) const;

 private:
  struct Layer {
    std::shared_ptr<const WinogradConvolution> winograd;  // fp32: does it all, where there is one
    AffineLayer affine;                    // weight as oneDNN wants it, in the layer's precision
    int64_t padding = 0;                   // convolutions
    bool int8 = false;                     // codes in, codes out
    double in_scale = 1, out_scale = 1;    // int8: value = (code - zero) scale
    int64_t in_zero = 0;                   // of the first layer's codes; else 0, for ReLU's answers
    at::Tensor weight_scale, weight_zero;  // [out]
  };
  FrozenNetwork() = default;
  at::Tensor enter(const at::Tensor& x) const;  // what the first layer takes
  at::Tensor run(const Layer& layer, const at::Tensor& x) const;
  void quantize(std::vector<AffineLayer>& layers, const at::Tensor& sample);
  void lay_out(Layer* layer, const std::vector<int64_t>& input_shape) const;  // as oneDNN wants it

  std::vector<Layer> layers_;
  at::ScalarType type_ = at::kFloat;  // of values that are not codes
  InferencePrecision precision_ = InferencePrecision::fp32;
  int64_t classes_ = 0;
};

}  // namespace bitstill
