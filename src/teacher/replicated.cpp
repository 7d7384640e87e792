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

}  // namespace

std::unique_ptr<Teacher> make_replicated_teacher(std::unique_ptr<Network> network) {
  return std::make_unique<ReplicatedTeacher>(std::move(network));
}

}  // namespace bitstill
