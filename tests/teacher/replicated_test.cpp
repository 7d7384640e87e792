#include <ATen/TensorOperators.h>
#include <ATen/autocast_mode.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/norm.h>
#include <ATen/ops/randn.h>
#include <gtest/gtest.h>

#include "bitstill/model/autocast.hpp"
#include "bitstill/teacher/teacher.hpp"

namespace bitstill {
namespace {

std::unique_ptr<Network> network_of(uint64_t seed) {
  NetworkSpec spec;
  spec.input = {2, 7, 5};
  spec.classes = 6;
  spec.widths = {3};
  spec.kernels = {3};
  spec.hidden = {7};
  spec.dropout = {0.4};
  auto network = make_network(spec);
  initialize(*network, seed);
  network->buffers()[0]->value.fill_(0.3);
  return network;
}

at::Tensor logits_of(Teacher& teacher, const at::Tensor& x) {
  const Question question{x, {}, 0};
  const std::vector<Answer> answers = teacher.answer({&question, 1}, false);
  return answers.at(0).logits(0, x.size(0));
}

TEST(ReplicatedTeacher, LogitsAreTheEvaluationForwardWithoutAGraph) {
  const auto network = network_of(4);
  auto own = network_of(4);
  own->set_trainable(true);  // the teacher freezes it
  const auto teacher = make_replicated_teacher(std::move(own), false);
  for (const int64_t count : {5, 1, 0}) {
    const at::Tensor x = at::randn({count, 2, 7, 5}).set_requires_grad(true);
    const at::Tensor logits = logits_of(*teacher, x);
    EXPECT_EQ(logits.sizes(), (at::IntArrayRef{count, 6}));
    EXPECT_EQ(logits.scalar_type(), at::kFloat);
    EXPECT_FALSE(logits.requires_grad());
    EXPECT_EQ(logits.grad_fn(), nullptr);
    EXPECT_TRUE(at::equal(logits, network->forward(x.detach(), {})));
    EXPECT_TRUE(at::equal(logits, logits_of(*teacher, x)));  // no dropout, no state
  }
}

TEST(ReplicatedTeacher, OwnsItsPrecisionWhateverTheStudentsIs) {
  const at::Tensor x = at::randn({5, 2, 7, 5});
  const at::Tensor exact = network_of(4)->forward(x, {});
  const auto fp32 = make_replicated_teacher(network_of(4), false);
  const auto bf16 = make_replicated_teacher(network_of(4), true);
  EXPECT_EQ(fp32->traits().precision, InferencePrecision::fp32);
  EXPECT_EQ(bf16->traits().precision, InferencePrecision::bf16);
  const at::Tensor rounded = logits_of(*bf16, x);
  const double error = ((rounded - exact).norm() / exact.norm()).item<double>();
  EXPECT_GT(error, 1e-4);
  EXPECT_LT(error, 0.03);
  for (const bool student : {false, true}) {
    const AutocastScope around(student, at::kCPU);
    EXPECT_TRUE(at::equal(logits_of(*fp32, x), exact));
    EXPECT_TRUE(at::equal(logits_of(*bf16, x), rounded));
    EXPECT_EQ(at::autocast::is_autocast_enabled(at::kCPU), student);
  }
  EXPECT_FALSE(at::autocast::is_autocast_enabled(at::kCPU));
}

TEST(FrozenTeacher, SaysHowItAnswers) {
  const auto network = network_of(4);
  const at::Tensor x = at::randn({5, 2, 7, 5});
  for (const InferencePrecision precision : {InferencePrecision::fp32, InferencePrecision::bf16}) {
    std::string obstacle;
    auto frozen = FrozenNetwork::make(*network, precision, x, &obstacle);
    if (obstacle.starts_with("this processor")) GTEST_SKIP() << obstacle;
    ASSERT_TRUE(frozen) << obstacle;
    const at::Tensor logits = frozen->forward(x);
    const auto teacher = make_frozen_teacher(std::move(frozen), {{.5f, .4f}, {.2f, .3f}});
    EXPECT_EQ(teacher->traits().normalization, (Normalization{{.5f, .4f}, {.2f, .3f}}));
    EXPECT_EQ(teacher->traits().precision, precision);
    EXPECT_TRUE(teacher->traits().compiled);
    const AutocastScope around(precision == InferencePrecision::fp32, at::kCPU);
    EXPECT_TRUE(at::equal(logits_of(*teacher, x), logits));
  }
}

}  // namespace
}  // namespace bitstill
