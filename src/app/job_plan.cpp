// What --dry-run says of a job.
#include <cstdio>

#include "bitstill/base/text.hpp"
#include "bitstill/config/recipe.hpp"
#include "bitstill/store/tensor_file.hpp"
#include "bitstill/train/exchange.hpp"
#include "job.hpp"
#include "model_on_data.hpp"
#include "sharded_teacher.hpp"

namespace bitstill {

void Job::print_plan() const {
  if (world_.place().rank != 0) return;
  const EpochPlan plan = epoch_plan();
  const auto elements = static_cast<double>(student_->masters().numel());
  std::vector<Range> ranges;
  for (const Segment& segment : student_->segments())
    ranges.push_back({segment.offset, segment.count});
  std::printf("%s", recipe_text(settings_).c_str());
  std::printf(
      "# plan: %lld steps an epoch, %zu micro-batches in the first, %zu gradient chunks\n",
      static_cast<long long>(plan.steps()), plan.step(0).micro_batches.size(),
      plan_chunks(student_->masters().numel(), ranges, gradient_chunk_bytes(config_.exchange))
          .size());
  std::printf("# student: %lld parameters; masters, shadows and gradients %s a rank\n",
              static_cast<long long>(student_->network().parameter_count()),
              human_bytes(elements * 4 * (student_->quantizer() ? 3 : 2)).c_str());
  const TrainOptions& train = config_.train;
  const int64_t world = world_.place().world;
  const int64_t images =
      train.micro_batch > 0 ? train.micro_batch : (train.global_batch + world - 1) / world;
  const bool bf16 = use_bf16(train.precision, device_.device);
  if (const auto cost = training_cost(student_->network(), bf16)) {
    std::printf("# student: %s\n", to_text(*cost, images).c_str());
  }
  if (teacher_ == nullptr) return;
  std::printf("# teacher: %s\n", layout_text(*teacher_).c_str());
  if (const auto cost = teacher_cost()) {
    std::printf("# teacher: %s\n", to_text(*cost, images).c_str());
  }
}

/// Its file is opened again: a teacher tells nothing of its network.
std::optional<ForwardCost> Job::teacher_cost() const {
  const TeacherTraits& traits = teacher_->traits();
  if (!traits.compiled) return {};
  NetworkSpec settings = config_.teacher;
  settings.normalization = traits.normalization;  // what is not known of it was said before
  const std::string& path = config_.teacher_file;
  const LoadedModel model =
      traits.slices ? load_skeleton(TensorFile(path), {"teacher", settings, &dataset_->index()})
                    : load_model_for(path, "teacher", settings, dataset_.get(), device_.device);
  return inference_cost(*model.network, traits.precision);
}

}  // namespace bitstill
