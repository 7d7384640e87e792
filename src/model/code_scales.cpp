#include "bitstill/model/code_scales.hpp"

#include <ATen/TensorOperators.h>
#include <ATen/ops/amax.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/max_pool2d.h>
#include <ATen/ops/maximum.h>

#include <algorithm>
#include <cmath>

#include "bitstill/base/error.hpp"
#include "bitstill/base/json.hpp"
#include "bitstill/base/text.hpp"
#include "frozen_layer.hpp"
#include "plain_operations.hpp"

namespace bitstill {
namespace {

/// The layer's answers in fp32, before its pool; `values` by number.
at::Tensor exact_answers(const Program& folded, Operation operation, TensorSource& source,
                         const std::vector<at::Tensor>& values) {
  const auto value = [&](std::size_t i) {
    return values[static_cast<std::size_t>(operation.inputs[i])];
  };
  operation.pool = false;
  const auto layer = FrozenLayer::make(folded, operation, at::kFloat, nullptr, RowRuns::whole);
  const int64_t rows = layer->rows();
  at::Tensor plain = at::empty({layer->plain_bytes(rows)}, at::kByte);
  layer->read({0, rows}, source, plain.mutable_data_ptr());
  const std::vector<ReadyRows> ready = layer->make_ready(plain.const_data_ptr(), rows);
  at::Tensor y;
  if (operation.adds()) y = layer->addend(value(1), false);
  layer->run(ready, {0, rows}, layer->input(value(0)), &y);
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
    json.push_back({layer.in_scale, layer.out_scale, layer.in_zero, layer.row_factors,
                    layer.column_factors, layer.answers_codes});
  }
  return json.dump();
}

CodeScales code_scales_from_text(const std::string& text) {
  CodeScales scales;
  for (const Json& layer : Json::parse(text)) {
    scales.push_back({layer.at(0).get<double>(), layer.at(1).get<double>(),
                      layer.at(2).get<int64_t>(), layer.at(3).get<std::vector<float>>(),
                      layer.at(4).get<std::vector<float>>(), layer.at(5).get<bool>()});
  }
  return scales;
}

std::string obstacle_to_codes(const Program& folded) {
  bool convolutions = false, others = false;  // others: that read the input
  for (const Operation& operation : folded.operations()) {
    if (operation.kind == OperationKind::convolution) {
      convolutions = true;
    } else {
      others |= std::count(operation.inputs.begin(), operation.inputs.end(), 0) > 0;
    }
  }
  if (!convolutions) return "it has no convolution, which alone run on 8-bit codes";
  return others ? "not only convolutions, which alone run on 8-bit codes, read its input" : "";
}

std::vector<bool> code_values(const Program& folded) {
  std::vector<bool> codes(static_cast<std::size_t>(folded.result()) + 1, false), of_norms = codes;
  codes[0] = true;
  for (const Operation& operation : folded.operations()) {
    const auto out = static_cast<std::size_t>(operation.output);
    of_norms[out] = operation.kind == OperationKind::norm;
    codes[out] = operation.relu && !operation.adds() &&
                 (of_norms[out] || operation.kind == OperationKind::convolution);
  }
  codes[static_cast<std::size_t>(folded.result())] = false;
  for (const Operation& operation : folded.operations()) {
    const bool takes_codes = operation.kind == OperationKind::convolution ||
                             (operation.kind == OperationKind::linear &&
                              !of_norms[static_cast<std::size_t>(operation.inputs[0])]);
    for (std::size_t i = takes_codes ? 1 : 0; i < operation.inputs.size(); ++i) {
      codes[static_cast<std::size_t>(operation.inputs[i])] = false;
    }
  }
  return codes;
}

CodeScales code_places(const Program& folded) {
  const std::vector<bool> codes = code_values(folded);
  CodeScales scales;
  for (const Operation& operation : folded.operations()) {
    if (!has_weights(operation)) continue;
    scales.emplace_back().answers_codes = codes[static_cast<std::size_t>(operation.output)];
  }
  return scales;
}

namespace {

/// One walk over the program: values in fp32, and of those that are codes how they are scaled.
class ScaleSearch {
 public:
  ScaleSearch(const Program& folded, TensorSource& source, const at::Tensor& sample)
      : folded_(folded), source_(source), are_codes_(code_values(folded)) {
    const auto count = are_codes_.size();
    values_.resize(count);
    factors_.resize(count);
    ranges_.resize(count);
    last_reader_.resize(count, nullptr);
    values_[0] = sample;
    ranges_[0] = range_of(sample);
    for (const Operation& operation : folded.operations()) {
      for (const int input : operation.inputs) last_reader_[at(input)] = &operation;
      if (operation.kind == OperationKind::convolution) last_convolution_ = &operation;
    }
  }

  CodeScales run() {
    CodeScales scales = code_places(folded_);
    auto layer = scales.begin();
    bool needed = true;  // by a convolution to come
    for (const Operation& operation : folded_.operations()) {
      if (operation.kind == OperationKind::convolution) {
        convolution(operation, &*layer);
      } else if (operation.kind == OperationKind::linear && are_codes_[at(operation.inputs[0])]) {
        const int input = operation.inputs[0];  // its weights take the codes' scale
        layer->column_factors =
            to_vector(factors_[at(input)].reciprocal() * ranges_[at(input)].scale);
      }
      LayerCodes* const codes_of_layer = has_weights(operation) ? &*layer++ : nullptr;
      needed = needed && &operation != last_convolution_;
      if (!needed) continue;
      if (operation.kind != OperationKind::convolution) answer(operation, codes_of_layer);
      for (const int input : operation.inputs) {
        if (last_reader_[at(input)] == &operation) values_[at(input)] = at::Tensor();
      }
    }
    return scales;
  }

 private:
  struct Range {
    double scale = 1;
    int64_t zero = 0;
  };

  static std::size_t at(int value) { return static_cast<std::size_t>(value); }

  static Range range_of(const at::Tensor& x) {
    const double low = std::min(0.0, x.min().item<double>());
    const double scale = scale_of(x.max().item<double>() - low);
    return {scale, std::isfinite(scale) ? std::llround(-low / scale) : 0};
  }

  void require_finite(const Operation& layer, double scale, const char* does) const {
    if (std::isfinite(scale)) return;
    throw Error(ExitCode::numbers, concat(layer.norm ? layer.norm->weight : layer.weight, does,
                                          " numbers that are not finite, so 8-bit codes have no "
                                          "range; give another precision or teacher"));
  }

  /// `codes`: of a layer.
  void answer(const Operation& operation, LayerCodes* codes) {
    at::Tensor& y = values_[at(operation.output)];
    y = codes != nullptr ? exact_answers(folded_, operation, source_, values_)
                         : compute(operation, values_);
    if (codes != nullptr && codes->answers_codes) scale_answers(operation, y, codes);
  }

  void convolution(const Operation& operation, LayerCodes* codes) {
    const std::size_t in = at(operation.inputs[0]), out = at(operation.output);
    const Range range = are_codes_[in] ? ranges_[in] : range_of(values_[in]);
    require_finite(operation, range.scale, " is given");
    codes->in_scale = range.scale;
    codes->in_zero = range.zero;
    if (factors_[in].defined()) codes->column_factors = to_vector(factors_[in].reciprocal());
    if (!codes->answers_codes && &operation == last_convolution_) return;
    const at::Tensor y = exact_answers(folded_, operation, source_, values_);
    values_[out] = operation.pool ? at::max_pool2d(y, 2) : y;
    if (codes->answers_codes) scale_answers(operation, y, codes);
  }

  /// How the layer's answers y in fp32 become codes.
  void scale_answers(const Operation& operation, const at::Tensor& y, LayerCodes* codes) {
    const std::size_t out = at(operation.output);
    // Codes 0..255 are shared by all channels of a layer. Between a channel's range and the weights
    // that it meets, half the difference in size goes each way (SmoothQuant, Xiao et al. 2023): a
    // channel with small answers then does not vanish beside one with large answers.
    const at::Tensor largest = y.amax({0, 2, 3});
    factors_[out] =
        (largest_met(operation.output).clamp_min(1e-6) / largest.clamp_min(1e-6)).sqrt();
    codes->row_factors = to_vector(factors_[out]);
    ranges_[out] = {scale_of((largest * factors_[out]).max().item<double>()), 0};
    codes->out_scale = ranges_[out].scale;
    require_finite(operation, codes->out_scale, " answers with");
  }

  /// The largest |weight| that each channel of the value meets in its readers.
  at::Tensor largest_met(int value) {
    at::Tensor met;
    for (const Operation& reader : folded_.operations()) {
      if (reader.inputs[0] != value) continue;
      const at::Tensor one = largest_of_columns(folded_, reader, source_);
      met = met.defined() ? at::maximum(met, one) : one;
    }
    return met;
  }

  const Program& folded_;
  TensorSource& source_;
  std::vector<bool> are_codes_;      // by value, as all that follow
  std::vector<at::Tensor> values_;   // while they are needed
  std::vector<at::Tensor> factors_;  // by which channels are multiplied before they become codes
  std::vector<Range> ranges_;        // of codes
  std::vector<const Operation*> last_reader_;
  const Operation* last_convolution_ = nullptr;
};

}  // namespace

CodeScales find_code_scales(const Program& folded, TensorSource& source, const at::Tensor& sample) {
  return ScaleSearch(folded, source, sample).run();
}

}  // namespace bitstill
