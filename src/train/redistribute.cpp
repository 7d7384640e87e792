#include "bitstill/train/redistribute.hpp"

#include <ATen/ops/cat.h>
#include <ATen/ops/zeros.h>

#include <cmath>

#include "bitstill/model/input.hpp"
#include "bitstill/quant/redistribution.hpp"
#include "bitstill/train/loss.hpp"
#include "bitstill/train/sample_pass.hpp"
#include "bitstill/train/student.hpp"

namespace bitstill {
namespace {

constexpr int64_t kBatches = 5;

/// The gradients that backward left, one after the other; they are taken away.
at::Tensor take_gradients(const Network& network) {
  std::vector<at::Tensor> flat;
  for (const Parameter* parameter : network.parameters()) {
    at::Tensor& gradient = parameter->value.mutable_grad();
    flat.push_back(gradient.defined() ? gradient.flatten()
                                      : at::zeros({parameter->value.numel()}, at::kFloat));
    gradient.reset();
  }
  return at::cat(flat);
}

}  // namespace

std::vector<double> gradient_norms(Network& network, const Dataset& dataset,
                                   const TrainOptions& train, const EvaluateOptions& evaluate,
                                   Communicator& comm) {
  ForwardMode mode;
  mode.training = true;
  mode.dropout = false;
  const auto gradients = [&](const Batch& batch, int64_t samples) {
    const at::Tensor logits =
        network.forward(to_input(batch, network.spec().input, network.spec().normalization,
                                 evaluate.device, evaluate.channels_last),
                        mode);
    const Loss loss =
        distillation_loss(logits.detach(), {}, to_labels(batch, evaluate.device), {}, samples);
    logits.backward(loss.gradient);
    return take_gradients(network);
  };
  const SamplePass pass{kBatches, train.global_batch, train.micro_batch};
  network.set_trainable(true);
  const at::Tensor mean =
      sum_over_pass(dataset, pass, network.parameter_count(), gradients, evaluate.progress, comm);
  network.set_trainable(false);

  std::vector<double> norms;
  const float* values = mean.const_data_ptr<float>();
  for (const Parameter* parameter : network.parameters()) {
    const float* const end = values + parameter->value.numel();
    // A plain loop: equal on every processor, so ranks of different ones give equal points.
    double squares = 0;
    for (; values != end; ++values) squares += static_cast<double>(*values) * *values;
    norms.push_back(std::sqrt(squares));
  }
  return norms;
}

std::vector<int64_t> redistributed_points(Network& network, const QuantOptions& options,
                                          const Dataset& dataset, const TrainOptions& train,
                                          const EvaluateOptions& evaluate, Communicator& comm) {
  const std::vector<double> norms = gradient_norms(network, dataset, train, evaluate, comm);
  std::vector<int64_t> points;
  std::vector<PointShare> shares;
  for (std::size_t i = 0; i < network.parameters().size(); ++i) {
    const Parameter& parameter = *network.parameters()[i];
    points.push_back(points_of(parameter, options));
    if (points.back() > 0) shares.push_back({parameter.value.numel(), points.back(), norms[i]});
  }
  const std::vector<int64_t> result = options.redistribute == Redistribute::bytes
                                          ? redistribute_bytes(shares)
                                          : redistribute_points(shares);
  auto next = result.begin();
  for (int64_t& count : points) {
    if (count > 0) count = *next++;
  }
  return points;
}

}  // namespace bitstill
