#include "emulated.hpp"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/zeros.h>

#include "bitstill/scale/walk.hpp"

namespace bitstill {
namespace {

void sleep_ms(double ms) {
  SleepClock().compute(1e-3 * ms);
}

class SleepingUnit final : public Unit {
 public:
  SleepingUnit(std::shared_ptr<Network> whole, std::size_t index, EmulatedLayer layer)
      : whole_(std::move(whole)), unit_(*whole_->units()[index]), layer_(std::move(layer)) {}

  std::vector<Parameter*> parameters() override { return unit_.parameters(); }
  std::vector<Buffer*> buffers() override { return unit_.buffers(); }

  at::Tensor forward(const at::Tensor& x, const ForwardMode&) override {
    sleep_ms(layer_.forward_ms);
    const int64_t classes = whole_->spec().classes;
    at::Tensor y = x.dim() == 2 && x.size(1) == classes ? x : at::zeros({x.size(0), classes});
    // Gradients as large as the parameters, at next to no cost: those of a sum are one number.
    for (const Parameter* parameter : parameters()) {
      if (parameter->value.requires_grad()) y = y + parameter->value.sum() * 0;
    }
    if (y.requires_grad() && layer_.backward_ms > 0) {
      // Called before the unit's gradients become complete.
      y.register_hook([ms = layer_.backward_ms](const at::Tensor&) { sleep_ms(ms); });
    }
    return y;
  }

 private:
  std::shared_ptr<Network> whole_;
  Unit& unit_;
  EmulatedLayer layer_;
};

class SleepingPieces final : public Piecewise {
 public:
  SleepingPieces(std::unique_ptr<Piecewise> pieces, int64_t classes, double forward_ms)
      : pieces_(std::move(pieces)), classes_(classes) {
    double all = 0;
    for (const Piece& piece : pieces_->pieces()) all += static_cast<double>(piece.multiply_adds);
    for (const Piece& piece : pieces_->pieces()) {
      ms_.push_back(forward_ms * static_cast<double>(piece.multiply_adds) / all);
    }
  }

  std::span<const Piece> pieces() const override { return pieces_->pieces(); }
  void read(std::size_t piece, TensorSource& source, void* plain) const override {
    pieces_->read(piece, source, plain);
  }
  PassState begin(const at::Tensor& x) const override { return {{x}}; }
  void run(std::size_t piece, const void*, std::span<PassState> states) const override {
    for (std::size_t i = 0; i < states.size(); ++i) sleep_ms(ms_[piece]);
  }
  PassResult finish(PassState&& state) const override {
    return {at::zeros({state.values[0].size(0), classes_})};
  }

 private:
  std::unique_ptr<Piecewise> pieces_;
  int64_t classes_;
  std::vector<double> ms_;  // of each piece, a micro-batch
};

/// Multiply-adds of one sample in each unit.
std::vector<double> costs(const Network& network) {
  const at::NoGradGuard no_grad;
  const ImageShape& in = network.spec().input;
  at::Tensor x = at::zeros({2, in.channels, in.height, in.width});
  std::vector<double> result;
  for (const auto& unit : network.units()) {
    x = unit->forward(x, ForwardMode{});
    const int64_t pixels = x.dim() == 4 ? x.size(2) * x.size(3) : 1;
    double cost = 0;
    for (const Parameter* parameter : unit->parameters()) {
      if (parameter->role != ParameterRole::weight) continue;
      cost += static_cast<double>(parameter->value.numel() * pixels);
    }
    result.push_back(cost);
  }
  return result;
}

}  // namespace

Json to_json(const EmulatedLayer& layer) {
  return {{"forward_ms", layer.forward_ms},
          {"backward_ms", layer.backward_ms},
          {"parameters", layer.parameters}};
}

std::vector<EmulatedLayer> emulated_layers(const Network& network, double forward_ms,
                                           double backward_ms) {
  const std::vector<double> cost = costs(network);
  double all = 0;
  for (const double one : cost) all += one;
  std::vector<EmulatedLayer> layers;
  for (std::size_t u = 0; u < cost.size(); ++u) {
    EmulatedLayer layer{forward_ms * cost[u] / all, backward_ms * cost[u] / all, {}};
    for (const Parameter* parameter : network.units()[u]->parameters()) {
      layer.parameters.push_back(parameter->value.numel());
    }
    layers.push_back(std::move(layer));
  }
  return layers;
}

std::unique_ptr<Network> emulate(std::unique_ptr<Network> network,
                                 const std::vector<EmulatedLayer>& layers) {
  const std::shared_ptr<Network> whole = std::move(network);
  std::vector<std::unique_ptr<Unit>> units;
  for (std::size_t u = 0; u < layers.size(); ++u) {
    units.push_back(std::make_unique<SleepingUnit>(whole, u, layers[u]));
  }
  return std::make_unique<Network>(whole->spec(), std::move(units));
}

std::unique_ptr<Piecewise> emulate(std::unique_ptr<Piecewise> pieces, int64_t classes,
                                   double forward_ms) {
  return std::make_unique<SleepingPieces>(std::move(pieces), classes, forward_ms);
}

}  // namespace bitstill
