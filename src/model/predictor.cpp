#include "bitstill/model/predictor.hpp"

#include <ATen/core/grad_mode.h>

namespace bitstill {
namespace {

/// Each rank answers by itself, one batch after the other.
template <class Forward>
class LocalPredictor final : public Predictor {
 public:
  LocalPredictor(const Normalization& normalization, Forward forward)
      : Predictor(normalization), forward_(std::move(forward)) {}

  std::vector<at::Tensor> logits(std::span<const at::Tensor> batches, bool /*more*/) override {
    const at::NoGradGuard no_grad;
    std::vector<at::Tensor> answers;
    for (const at::Tensor& x : batches) answers.push_back(forward_(x));
    return answers;
  }

 private:
  Forward forward_;
};

template <class Forward>
std::unique_ptr<Predictor> make_local(const Normalization& normalization, Forward forward) {
  return std::make_unique<LocalPredictor<Forward>>(normalization, std::move(forward));
}

}  // namespace

std::unique_ptr<Predictor> make_predictor(const Network& network) {
  return make_local(network.spec().normalization, [&network](const at::Tensor& x) {
    return network.forward(x, ForwardMode{}).to(at::kFloat);
  });
}

std::unique_ptr<Predictor> make_predictor(std::unique_ptr<FrozenNetwork> network,
                                          const Normalization& normalization) {
  return make_local(normalization, [network = std::move(network)](const at::Tensor& x) {
    return network->forward(x);
  });
}

}  // namespace bitstill
