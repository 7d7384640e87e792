#include <ATen/core/grad_mode.h>

#include "bitstill/teacher/teacher.hpp"

namespace bitstill {
namespace {

class ReplicatedTeacher : public Teacher {
 public:
  explicit ReplicatedTeacher(std::unique_ptr<Network> network) : network_(std::move(network)) {
    network_->set_trainable(false);
  }

  at::Tensor logits(const at::Tensor& x) override {
    at::NoGradGuard no_grad;
    return network_->forward(x, ForwardMode{}).to(at::kFloat);
  }

 private:
  std::unique_ptr<Network> network_;
};

class FrozenTeacher : public Teacher {
 public:
  explicit FrozenTeacher(std::unique_ptr<FrozenNetwork> network) : network_(std::move(network)) {}
  at::Tensor logits(const at::Tensor& x) override { return network_->forward(x); }

 private:
  std::unique_ptr<FrozenNetwork> network_;
};

}  // namespace

std::unique_ptr<Teacher> make_frozen_teacher(std::unique_ptr<FrozenNetwork> network) {
  return std::make_unique<FrozenTeacher>(std::move(network));
}

std::unique_ptr<Teacher> make_replicated_teacher(std::unique_ptr<Network> network) {
  return std::make_unique<ReplicatedTeacher>(std::move(network));
}

}  // namespace bitstill
