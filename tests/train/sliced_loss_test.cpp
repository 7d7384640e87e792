#include "bitstill/train/sliced_loss.hpp"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros.h>

#include "../model/sentences_fixture.hpp"
#include "train_fixture.hpp"

namespace bitstill {
namespace {

struct Found {
  at::Tensor sums;
  std::vector<at::Tensor> gradients;  // of all parameters
};

Answer answer_of(const Network& teacher, const Tokens& tokens) {
  const at::NoGradGuard no_grad;
  return {teacher.hidden(tokens, ForwardMode{}),
          [&](const at::Tensor& rows) { return teacher.head(rows, ForwardMode{}); }};
}

std::vector<at::Tensor> take_gradients(Network& network) {
  std::vector<at::Tensor> gradients;
  for (Parameter* parameter : network.parameters()) {
    gradients.push_back(parameter->value.grad().clone());
    parameter->value.mutable_grad() = at::Tensor();
  }
  return gradients;
}

Found in_slices(Network& network, const Tokens& tokens, const Answer* answer, int64_t rows) {
  SliceSettings settings;
  settings.distill.slice_rows = rows;
  settings.step_terms = 31;
  settings.label_smoothing = answer == nullptr ? 0.1 : 0;
  const at::Tensor hidden = network.hidden(tokens, ForwardMode{});
  int64_t slices = 0, last = 0;
  const SlicedLoss loss = head_and_loss(network, hidden, tokens.labels, answer, settings,
                                        ForwardMode{}, [&](bool is_last) {
                                          ++slices;
                                          if (is_last) last = slices;
                                        });
  EXPECT_EQ(slices, (tokens.terms() + rows - 1) / rows);
  EXPECT_EQ(last, slices);
  hidden.backward(loss.gradient);
  return {loss.sums, take_gradients(network)};
}

/// One pass of LibTorch's own, with its autograd through the head and the loss.
Found whole(Network& network, const Tokens& tokens, const Answer* answer) {
  const at::Tensor logits =
      network.head(network.hidden(tokens, ForwardMode{}), ForwardMode{}).to(at::kFloat);
  const auto cross_entropy = [&](double smoothing) {
    return at::cross_entropy_loss(logits, tokens.labels, {}, at::Reduction::Sum, -100, smoothing);
  };
  at::Tensor loss, soft = at::zeros({});
  if (answer == nullptr) {
    loss = cross_entropy(0.1);
  } else {
    const DistillOptions defaults;
    const double t = defaults.temperature;
    const at::Tensor log_p = at::log_softmax(answer->logits(0, tokens.terms()) / t, 1);
    soft = (log_p.exp() * (log_p - at::log_softmax(logits / t, 1))).sum() * (t * t);
    loss = soft * defaults.soft_weight + cross_entropy(0) * (1 - defaults.soft_weight);
  }
  (loss / 31).backward();
  const at::NoGradGuard no_grad;
  return {at::stack({soft.detach(), cross_entropy(answer == nullptr ? 0.1 : 0).detach(),
                     logits.argmax(1).eq(tokens.labels).sum().to(at::kFloat)}),
          take_gradients(network)};
}

TEST(SlicedLoss, IsThatOfOnePassWhateverTheSlices) {
  for (const Shape& shape : kShapes) {
    const NetworkSpec spec = lstm_spec(shape);
    const auto student = lstm(spec, 3), teacher = lstm(spec, 6);
    student->set_trainable(true);
    const Tokens tokens = tokens_of(spec, random_pairs(spec, kLengths));
    const Answer its = answer_of(*teacher, tokens);
    for (const Answer* answer : {static_cast<const Answer*>(nullptr), &its}) {
      const Found expected = whole(*student, tokens, answer);
      for (const int64_t rows : {int64_t{1}, int64_t{7}, int64_t{1000}}) {
        const Found found = in_slices(*student, tokens, answer, rows);
        EXPECT_LT((found.sums - expected.sums).abs().max().item<double>(), 1e-4);
        for (std::size_t i = 0; i < found.gradients.size(); ++i) {
          EXPECT_LT((found.gradients[i] - expected.gradients[i]).abs().max().item<double>(), 2e-6)
              << student->parameters()[i]->name << ", slices of " << rows;
        }
      }
    }
    EXPECT_EQ(head_is_tied(*student), shape.tie != Tie::none);
  }
}

}  // namespace
}  // namespace bitstill
