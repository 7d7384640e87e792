// What gives logits to images, whoever holds its weights.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "bitstill/data/image_shape.hpp"
#include "bitstill/model/frozen_network.hpp"
#include "bitstill/model/network.hpp"

namespace bitstill {

class Predictor {
 public:
  explicit Predictor(Normalization normalization) : normalization_(std::move(normalization)) {}
  virtual ~Predictor() = default;
  /// How its input is made.
  const Normalization& normalization() const { return normalization_; }
  /// Whether ranks answer together.
  virtual bool collective() const { return false; }
  /// Of each batch x [n, C, H, W] fp32, normalized, n > 0, its logits [n, classes] fp32, without
  /// autograd; batches are never joined. Where collective(), every rank calls it equally often,
  /// with no batches where it has none left, and `more` says whether it will be called again.
  virtual std::vector<at::Tensor> logits(std::span<const at::Tensor> batches, bool more) = 0;

 private:
  Normalization normalization_;
};

/// The network, which outlives it, in evaluation mode.
std::unique_ptr<Predictor> make_predictor(const Network& network);
/// The same, compiled for inference; its input made by `normalization`.
std::unique_ptr<Predictor> make_predictor(std::unique_ptr<FrozenNetwork> network,
                                          const Normalization& normalization);

}  // namespace bitstill
