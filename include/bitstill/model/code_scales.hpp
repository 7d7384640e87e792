// 8-bit inference: which values are codes, how large they become, and what follows from it. A
// convolution takes codes; what it answers is codes where it is ReLU's and only layers read it,
// else bf16, which other operations work on and the next convolution makes codes of. A convolution
// that adds does so in bf16. A norm that stayed answers codes where only convolutions read it.
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
  int64_t in_zero = 0;  // 0 for ReLU's answers
  /// The folded weights are multiplied by these, one for each output or input channel; none: by 1.
  std::vector<float> row_factors, column_factors;
  bool answers_codes = false;
};

/// Of all layers, in order.
using CodeScales = std::vector<LayerCodes>;

/// Which values of the folded program are codes, by number.
std::vector<bool> code_values(const Program& folded);
/// Without scales: enough to know every size.
CodeScales code_places(const Program& folded);

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
