#include <ATen/core/grad_mode.h>

#include "bitstill/model/autocast.hpp"
#include "bitstill/teacher/teacher.hpp"

namespace bitstill {
namespace {

class ReplicatedTeacher : public Teacher {
 public:
  ReplicatedTeacher(std::unique_ptr<Network> network, bool bf16)
      : Teacher({network->spec().normalization,
                 bf16 ? InferencePrecision::bf16 : InferencePrecision::fp32, false}),
        network_(std::move(network)),
        bf16_(bf16) {
    network_->set_trainable(false);
  }

  at::Tensor logits(const at::Tensor& x) override {
    const at::NoGradGuard no_grad;
    const AutocastScope own(bf16_, x.device());
    return network_->forward(x, ForwardMode{}).to(at::kFloat);
  }

 private:
  std::unique_ptr<Network> network_;
  bool bf16_;
};

class FrozenTeacher : public Teacher {
 public:
  FrozenTeacher(std::unique_ptr<FrozenNetwork> network, const Normalization& normalization)
      : Teacher({normalization, network->precision(), true}), network_(std::move(network)) {}
  at::Tensor logits(const at::Tensor& x) override { return network_->forward(x); }

 private:
  std::unique_ptr<FrozenNetwork> network_;
};

}  // namespace

std::unique_ptr<Teacher> make_frozen_teacher(std::unique_ptr<FrozenNetwork> network,
                                             const Normalization& normalization) {
  return std::make_unique<FrozenTeacher>(std::move(network), normalization);
}

std::unique_ptr<Teacher> make_replicated_teacher(std::unique_ptr<Network> network, bool bf16) {
  return std::make_unique<ReplicatedTeacher>(std::move(network), bf16);
}

}  // namespace bitstill
