#include "bitstill/train/redistribute.hpp"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/norm.h>

#include <algorithm>

#include "bitstill/comm/agree.hpp"
#include "bitstill/data/sampler.hpp"
#include "bitstill/model/input.hpp"
#include "bitstill/quant/redistribution.hpp"
#include "bitstill/train/loss.hpp"
#include "bitstill/train/student.hpp"

namespace bitstill {
namespace {

constexpr int64_t kBatches = 5;

/// 2-norms of the mean gradient of each parameter.
std::vector<double> gradient_norms(Network& network, const Dataset& dataset,
                                   const Normalization& normalization, int64_t batch,
                                   const EvaluateOptions& evaluate) {
  const int64_t samples = dataset.size(Split::train);
  const std::vector<int64_t> order = epoch_order(samples, 0, 0);
  batch = std::min(batch, samples);
  const int64_t batches = std::min(kBatches, samples / batch);
  const BatchPlan plan = [&](int64_t n, std::vector<int64_t>* rows, int64_t* epoch) {
    *epoch = 0;
    rows->assign(order.begin() + n * batch, order.begin() + std::min(batches, n + 1) * batch);
    return n < batches;
  };
  ForwardMode mode;
  mode.training = true;
  mode.dropout = false;
  Prefetcher prefetcher(dataset, Split::train, plan, nullptr, 0, 2);
  Batch one;
  network.set_trainable(true);
  while (prefetcher.next(&one)) {
    const at::Tensor logits = network.forward(
        to_input(one, network.spec().input, normalization, evaluate.device, evaluate.channels_last),
        mode);
    const Loss loss = distillation_loss(logits.detach(), {}, to_labels(one, evaluate.device), {},
                                        batch * batches);
    logits.backward(loss.gradient);
  }
  std::vector<double> norms;
  for (const Parameter* parameter : network.parameters()) {
    at::Tensor& gradient = parameter->value.mutable_grad();
    norms.push_back(gradient.defined() ? gradient.norm().item<double>() : 0);
    gradient.reset();
  }
  network.set_trainable(false);
  return norms;
}

}  // namespace

std::vector<int64_t> redistributed_points(Network& network, const QuantOptions& options,
                                          const Dataset& dataset,
                                          const Normalization& normalization, int64_t batch,
                                          const EvaluateOptions& evaluate, Communicator& comm) {
  std::vector<double> norms;
  agree(comm, [&] { norms = gradient_norms(network, dataset, normalization, batch, evaluate); });
  comm.broadcast(norms.data(), static_cast<int64_t>(norms.size()), ElementType::f64, 0);

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
