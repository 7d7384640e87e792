#include "bitstill/model/code_scales.hpp"

#include <ATen/TensorOperators.h>
#include <ATen/ops/amax.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/max_pool2d.h>

#include <algorithm>
#include <cmath>

#include "bitstill/base/error.hpp"
#include "bitstill/base/json.hpp"
#include "bitstill/base/text.hpp"
#include "frozen_layer.hpp"

namespace bitstill {
namespace {

/// The convolution's answers to x [n, in, H, W] in fp32, before its pool.
at::Tensor exact_answers(const Program& folded, Operation convolution, TensorSource& source,
                         const at::Tensor& x) {
  convolution.pool = false;
  const auto layer = FrozenLayer::make(folded, convolution, at::kFloat, nullptr, RowRuns::whole);
  const int64_t rows = layer->rows();
  at::Tensor plain = at::empty({layer->plain_bytes(rows)}, at::kByte);
  layer->read({0, rows}, source, plain.mutable_data_ptr());
  const std::vector<ReadyRows> ready = layer->make_ready(plain.const_data_ptr(), rows);
  at::Tensor y;
  layer->run(ready, {0, rows}, layer->input(x), &y);
  return y;
}

/// The largest |weight| that each channel of the layer's input meets, [in].
at::Tensor largest_of_columns(const Program& folded, const Operation& layer, TensorSource& source) {
  const LayerSize size(folded, layer);
  const FoldedRows rows = fold_rows(folded, layer, {0, size.out}, source);
  return rows.weight.view({size.out, size.in, size.area}).abs().amax({0, 2});
}

std::vector<float> to_vector(const at::Tensor& values) {
  const at::Tensor whole = values.contiguous();
  return {whole.const_data_ptr<float>(), whole.const_data_ptr<float>() + whole.numel()};
}

double scale_of(double range) {
  return std::max(range / 255, 1e-12);
}

}  // namespace

std::string to_text(const CodeScales& scales) {
  Json json = Json::array();
  for (const LayerCodes& layer : scales) {
    json.push_back(
        {layer.in_scale, layer.out_scale, layer.in_zero, layer.row_factors, layer.column_factors});
  }
  return json.dump();
}

CodeScales code_scales_from_text(const std::string& text) {
  CodeScales scales;
  for (const Json& layer : Json::parse(text)) {
    scales.push_back({layer.at(0).get<double>(), layer.at(1).get<double>(),
                      layer.at(2).get<int64_t>(), layer.at(3).get<std::vector<float>>(),
                      layer.at(4).get<std::vector<float>>()});
  }
  return scales;
}

std::string obstacle_to_codes(const Program& folded) {
  if (folded.operations().front().kind != OperationKind::convolution) {
    return "it has no convolution, which alone run on 8-bit codes";
  }
  OperationKind kind = OperationKind::convolution;
  int value = 0;
  bool chain = true;
  for (const Operation& layer : folded.operations()) {
    if (layer.kind == OperationKind::linear) kind = OperationKind::linear;
    chain = chain && layer.kind == kind && layer.inputs[0] == value &&
            (layer.relu || kind == OperationKind::linear);
    value = layer.output;
  }
  if (chain && kind == OperationKind::linear) return "";
  return "it is no chain of convolutions with ReLU and then fully connected layers, which alone "
         "run "
         "on 8-bit codes";
}

CodeScales find_code_scales(const Program& folded, TensorSource& source, const at::Tensor& sample) {
  CodeScales scales;
  at::Tensor x = sample, factor;
  const double low = std::min(0.0, sample.min().item<double>());
  double in_scale = scale_of(sample.max().item<double>() - low);
  for (std::size_t i = 0; folded.operations()[i].kind == OperationKind::convolution; ++i) {
    const Operation& layer = folded.operations()[i];
    LayerCodes codes;
    codes.in_scale = in_scale;
    if (i == 0) codes.in_zero = std::llround(-low / in_scale);
    if (i > 0) codes.column_factors = to_vector(factor.reciprocal());
    x = exact_answers(folded, layer, source, x);
    const at::Tensor largest = x.amax({0, 2, 3});
    if (layer.pool) x = at::max_pool2d(x, 2);
    // Codes 0..255 are shared by all channels of a layer. Between a channel's range and the weights
    // that it meets, half the difference in size goes each way (SmoothQuant, Xiao et al. 2023): a
    // channel with small answers then does not vanish beside one with large answers.
    const at::Tensor met = largest_of_columns(folded, folded.operations()[i + 1], source);
    factor = (met.clamp_min(1e-6) / largest.clamp_min(1e-6)).sqrt();
    codes.row_factors = to_vector(factor);
    codes.out_scale = in_scale = scale_of((largest * factor).max().item<double>());
    if (!std::isfinite(in_scale)) {
      throw Error(ExitCode::numbers,
                  concat(layer.weight,
                         " answers with numbers that are not finite, so 8-bit codes "
                         "have no range; give another precision or teacher"));
    }
    scales.push_back(std::move(codes));
  }
  LayerCodes linear;  // reads codes: its weights take their scale
  linear.column_factors = to_vector(factor.reciprocal() * in_scale);
  scales.push_back(std::move(linear));
  return scales;
}

}  // namespace bitstill
