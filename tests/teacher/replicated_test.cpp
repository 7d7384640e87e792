#include <ATen/ops/equal.h>
#include <ATen/ops/randn.h>
#include <gtest/gtest.h>

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

TEST(ReplicatedTeacher, LogitsAreTheEvaluationForwardWithoutAGraph) {
  const auto network = network_of(4);
  auto own = network_of(4);
  own->set_trainable(true);  // the teacher freezes it
  const auto teacher = make_replicated_teacher(std::move(own));
  for (const int64_t count : {5, 1, 0}) {
    const at::Tensor x = at::randn({count, 2, 7, 5}).set_requires_grad(true);
    const at::Tensor logits = teacher->logits(x);
    EXPECT_EQ(logits.sizes(), (at::IntArrayRef{count, 6}));
    EXPECT_EQ(logits.scalar_type(), at::kFloat);
    EXPECT_FALSE(logits.requires_grad());
    EXPECT_EQ(logits.grad_fn(), nullptr);
    EXPECT_TRUE(at::equal(logits, network->forward(x.detach(), {})));
    EXPECT_TRUE(at::equal(logits, teacher->logits(x)));  // no dropout, no state
  }
}

}  // namespace
}  // namespace bitstill
