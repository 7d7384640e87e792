// Everything is computed in double, row by row, and rounded once.
#include "folded_rows.hpp"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>

#include "bitstill/base/error.hpp"
#include "bitstill/base/text.hpp"

namespace bitstill {
namespace {

at::Tensor checked(at::Tensor tensor, int64_t count, const std::string& name) {
  if (tensor.numel() != count) {
    throw Error(ExitCode::model, concat(name, ": ", tensor.numel(), " values where ", count,
                                        " belong; this file is of another network"));
  }
  return tensor;
}

/// y = x scale + shift, by channel.
struct ScaleAndShift {
  /// Changes nothing.
  explicit ScaleAndShift(int64_t channels)
      : scale(static_cast<std::size_t>(channels), 1),
        shift(static_cast<std::size_t>(channels), 0) {}
  /// Of the norm's channels [first, first + size).
  void take(const NormNames& norm, int64_t first, TensorSource& source) {
    const auto count = static_cast<int64_t>(scale.size());
    const auto part = [&](const std::string& name) {
      return checked(source.rows(name, first, count), count, name);
    };
    const at::Tensor weight = part(norm.weight), bias = part(norm.bias);
    const at::Tensor mean = part(norm.mean), variance = part(norm.variance);
    for (std::size_t c = 0; c < scale.size(); ++c) {
      scale[c] = weight.const_data_ptr<float>()[c] /
                 std::sqrt(double{variance.const_data_ptr<float>()[c]} + norm.epsilon);
      shift[c] = bias.const_data_ptr<float>()[c] - mean.const_data_ptr<float>()[c] * scale[c];
    }
  }
  std::vector<double> scale, shift;
};

/// One row of weights: in[area] of every input channel.
struct Row {
  const float* in = nullptr;
  float* out = nullptr;
  double scale = 1;
};

/// Writes the row, scaled, and then, where `ones`, the weights of the channel of ones. Returns what
/// remains of the shift for the bias.
double fold_row(const Row& row, const ScaleAndShift& input, int64_t area, bool ones,
                bool shift_by_ones) {
  std::vector<double> shifted(static_cast<std::size_t>(area), 0);
  const float* in = row.in;
  float* out = row.out;
  for (std::size_t c = 0; c < input.scale.size(); ++c, in += area, out += area) {
    for (int64_t i = 0; i < area; ++i) {
      const double w = row.scale * in[i];
      out[i] = static_cast<float>(w * input.scale[c]);
      shifted[static_cast<std::size_t>(i)] += w * input.shift[c];
    }
  }
  double rest = 0;
  for (int64_t i = 0; i < area; ++i) {
    const double shift = shifted[static_cast<std::size_t>(i)];
    if (ones) out[i] = shift_by_ones ? static_cast<float>(shift) : 0;
    if (!shift_by_ones) rest += shift;
  }
  return rest;
}

}  // namespace

LayerSize::LayerSize(const Program& folded, const Operation& layer) {
  const ValueShape& x = folded.shape(layer.inputs[0]);
  in = x[0] + (layer.input_ones ? 1 : 0);
  out = folded.shape(layer.output)[0] + (layer.output_ones ? 1 : 0);
  area = 1;
  for (std::size_t i = 1; i < x.size(); ++i) area *= x[i];
  if (layer.kind == OperationKind::convolution) area = layer.window.kernel * layer.window.kernel;
  if (layer.kind == OperationKind::norm) area = 1;
}

namespace {

FoldedRows norm_rows(const NormNames& norm, RowRange rows, TensorSource& source) {
  ScaleAndShift own(rows.count);
  own.take(norm, rows.first, source);
  FoldedRows result{at::empty({rows.count}, at::kFloat), at::empty({rows.count}, at::kFloat)};
  std::copy(own.scale.begin(), own.scale.end(), result.weight.mutable_data_ptr<float>());
  std::copy(own.shift.begin(), own.shift.end(), result.bias.mutable_data_ptr<float>());
  return result;
}

}  // namespace

FoldedRows fold_rows(const Program& folded, const Operation& layer, RowRange rows,
                     TensorSource& source) {
  if (layer.norm) return norm_rows(*layer.norm, rows, source);
  const LayerSize size(folded, layer);
  const int64_t channels = folded.shape(layer.inputs[0])[0], in_row = channels * size.area;
  const int64_t out_row = size.in * size.area, k = layer.window.kernel;
  // The row behind the layer's own makes ones.
  const int64_t own = std::min(rows.count, folded.shape(layer.output)[0] - rows.first);
  FoldedRows result;
  result.weight = layer.kind == OperationKind::convolution
                      ? at::empty({rows.count, size.in, k, k}, at::kFloat)
                      : at::empty({rows.count, out_row}, at::kFloat);
  result.bias = at::empty({rows.count}, at::kFloat);
  float* const out = result.weight.mutable_data_ptr<float>();
  float* const bias = result.bias.mutable_data_ptr<float>();
  std::fill(out + own * out_row, out + rows.count * out_row, 0.0f);
  std::fill(bias + own, bias + rows.count, 1.0f);
  if (own == 0) return result;

  const at::Tensor weight =
      checked(source.rows(layer.weight, rows.first, own), own * in_row, layer.weight);
  const at::Tensor given = layer.bias.empty()
                               ? at::zeros({own})
                               : checked(source.rows(layer.bias, rows.first, own), own, layer.bias);
  ScaleAndShift input(channels), output(own);
  if (layer.input_norm) input.take(*layer.input_norm, 0, source);
  if (layer.output_norm) output.take(*layer.output_norm, rows.first, source);
  const bool shift_by_ones = layer.input_norm && layer.window.padding > 0;
  at::parallel_for(0, own, 1 + 65536 / out_row, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      const auto row = static_cast<std::size_t>(r);
      const double rest = fold_row(
          {weight.const_data_ptr<float>() + r * in_row, out + r * out_row, output.scale[row]},
          input, size.area, layer.input_ones, shift_by_ones);
      bias[r] = static_cast<float>(given.const_data_ptr<float>()[r] * output.scale[row] +
                                   output.shift[row] + rest);
    }
  });
  return result;
}

std::string obstacle_in_weights(const FoldedProgram& folded, TensorSource& source) {
  for (const FoldedProgram::PooledNorm& pooled : folded.pooled_norms) {
    const at::Tensor scale = source.whole(pooled.norm.weight);
    const float* const first = scale.const_data_ptr<float>();
    if (std::any_of(first, first + scale.numel(), [](float value) { return value < 0; })) {
      return concat("the norm before a pool, after convolution ", pooled.convolution,
                    ", has a scale below zero");
    }
  }
  return "";
}

}  // namespace bitstill
