// 8-bit inference: how large the answers of each convolution become, and what follows from it.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

#include "bitstill/model/piecewise.hpp"
#include "bitstill/model/program.hpp"

namespace bitstill {

/// Of a layer that takes codes: value = (code - in_zero) in_scale.
struct LayerCodes {
  double in_scale = 1, out_scale = 1;
  int64_t in_zero = 0;  // of the first layer; else 0, for ReLU's answers
  /// The folded weights are multiplied by these, one for each output or input channel; none: by 1.
  std::vector<float> row_factors, column_factors;
};

/// Of all convolutions, in order, and of the linear layer after them.
using CodeScales = std::vector<LayerCodes>;

/// As a text, for other ranks, and back: to the bit.
std::string to_text(const CodeScales& scales);
CodeScales code_scales_from_text(const std::string& text);

/// Why the folded program cannot run on codes; else empty.
std::string obstacle_to_codes(const Program& folded);

/// `sample` [n, C, H, W] fp32, normalized: a few hundred images, which run through the convolutions
/// in fp32. The program has no obstacle. Error(numbers) where answers are not finite. One layer's
/// weights are in memory at a time.
CodeScales find_code_scales(const Program& folded, TensorSource& source, const at::Tensor& sample);

}  // namespace bitstill
