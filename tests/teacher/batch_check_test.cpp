#include "bitstill/teacher/batch_check.hpp"

#include <ATen/TensorOperators.h>
#include <gtest/gtest.h>

namespace bitstill {
namespace {

std::unique_ptr<Teacher> units(bool bf16) {
  NetworkSpec spec;
  spec.input = {2, 7, 5};
  spec.classes = 6;
  spec.widths = {3};
  spec.kernels = {3};
  spec.hidden = {40};
  auto network = make_network(spec);
  initialize(*network, 3);
  return make_replicated_teacher(std::move(network), bf16);
}

/// In batches of so many samples the last bit of a logit is another.
class Odd : public Teacher {
 public:
  explicit Odd(int64_t size) : Teacher({}), size_(size) {}
  std::vector<Answer> answer(std::span<const Question> questions, bool /*more*/) override {
    std::vector<Answer> answers;
    for (const Question& question : questions) {
      at::Tensor logits = question.x.flatten(1).sum(1, true) + 10;
      if (question.x.size(0) == size_) logits = logits * (1 + 1e-7);
      answers.emplace_back(logits);
    }
    return answers;
  }

 private:
  int64_t size_;
};

TEST(BatchCheck, SeesTheSizeThatDiffers) {
  const ImageShape shape{2, 7, 5};
  for (const int64_t size : {1, 2, 3, 5, 8, 13, 16}) {
    Odd teacher(size);
    EXPECT_TRUE(depends_on_batch(teacher, shape, at::kCPU)) << size;
  }
  Odd even(4);  // a size that is not asked about
  EXPECT_FALSE(depends_on_batch(even, shape, at::kCPU));
  EXPECT_FALSE(depends_on_batch(*units(false), shape, at::kCPU));
  EXPECT_FALSE(depends_on_batch(*units(true), shape, at::kCPU));
}

}  // namespace
}  // namespace bitstill
