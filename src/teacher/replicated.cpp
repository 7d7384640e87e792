#include <ATen/core/grad_mode.h>

#include "bitstill/model/autocast.hpp"
#include "bitstill/teacher/teacher.hpp"

namespace bitstill {
namespace {

/// Every rank answers by itself, one question after the other.
class LocalTeacher : public Teacher {
 public:
  using Teacher::Teacher;
  std::vector<Answer> answer(std::span<const Question> questions, bool /*more*/) override {
    std::vector<Answer> answers;
    for (const Question& question : questions) answers.push_back(answer_one(question));
    return answers;
  }

 private:
  virtual Answer answer_one(const Question& question) = 0;
};

class ReplicatedTeacher final : public LocalTeacher {
 public:
  ReplicatedTeacher(std::unique_ptr<Network> network, bool bf16)
      : LocalTeacher({network->spec().normalization,
                      bf16 ? InferencePrecision::bf16 : InferencePrecision::fp32}),
        network_(std::move(network)),
        bf16_(bf16) {
    network_->set_trainable(false);
  }

 private:
  Answer answer_one(const Question& question) override {
    const at::NoGradGuard no_grad;
    if (question.tokens == nullptr) {
      const AutocastScope own(bf16_, question.x.device());
      return Answer(network_->forward(question.x, ForwardMode{}).to(at::kFloat));
    }
    const AutocastScope own(bf16_, question.tokens->rows.device());
    return {network_->hidden(*question.tokens, ForwardMode{}),
            [this](const at::Tensor& hidden) { return head(hidden); }};
  }

  at::Tensor head(const at::Tensor& hidden) const {
    const at::NoGradGuard no_grad;
    const AutocastScope own(bf16_, hidden.device());
    return network_->head(hidden, ForwardMode{}).to(at::kFloat);
  }

  std::unique_ptr<Network> network_;
  bool bf16_;
};

class FrozenTeacher final : public LocalTeacher {
 public:
  FrozenTeacher(std::unique_ptr<FrozenNetwork> network, const Normalization& normalization)
      : LocalTeacher({normalization, network->precision(), true}), network_(std::move(network)) {}

 private:
  Answer answer_one(const Question& question) override {
    return Answer(network_->forward(question.x));
  }

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
