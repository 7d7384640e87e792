#include "bitstill/teacher/batch_check.hpp"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/equal.h>

#include <vector>

#include "bitstill/base/random.hpp"

namespace bitstill {

bool depends_on_batch(Teacher& teacher, const ImageShape& shape, const at::Device& device) {
  const at::NoGradGuard no_grad;
  constexpr int64_t kWhole = 16;
  at::Tensor images = at::empty({kWhole, shape.channels, shape.height, shape.width});
  RandomStream stream(0, StreamPurpose::initialization, "batch check");
  float* const values = images.mutable_data_ptr<float>();
  for (int64_t i = 0; i < images.numel(); ++i) values[i] = 2 * stream.uniform() - 1;
  images = images.to(device).contiguous(at::MemoryFormat::ChannelsLast);

  struct Part {
    int64_t first, count;
  };
  const std::vector<Part> parts = {{0, kWhole}, {0, 1},  {15, 1}, {0, 2}, {7, 2},
                                   {3, 3},      {11, 5}, {0, 8},  {3, 13}};
  std::vector<Question> questions;
  for (const Part& part : parts) {
    questions.push_back({images.narrow(0, part.first, part.count), {}, 0});
  }
  const std::vector<Answer> answers = teacher.answer(questions, false);
  for (std::size_t i = 1; i < parts.size(); ++i) {
    const at::Tensor whole = answers[0].logits(parts[i].first, parts[i].count);
    if (!at::equal(answers[i].logits(0, parts[i].count), whole)) return true;
  }
  return false;
}

}  // namespace bitstill
