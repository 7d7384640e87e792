// What a job is about to do, in words: --dry-run, and the rates of a run that is made longer.
#include <algorithm>
#include <cstdio>

#include "bitstill/base/text.hpp"
#include "bitstill/config/recipe.hpp"
#include "bitstill/store/tensor_file.hpp"
#include "bitstill/train/exchange.hpp"
#include "job.hpp"
#include "measured_step.hpp"
#include "model_on_data.hpp"
#include "sharded_teacher.hpp"

namespace bitstill {
namespace {

constexpr double kSecondsAnHour = 3600;

std::string figure(double value) {
  char text[32];
  std::snprintf(text, sizeof text, value < 100 ? "%.3g" : "%.0f", value);
  return text;
}

}  // namespace

void Job::print_plan() const {
  if (world_.place().rank != 0) return;
  const EpochPlan plan = plan_->epoch(0);
  const auto elements = static_cast<double>(student_->masters().numel());
  std::vector<Range> ranges;
  for (const Segment& segment : student_->segments())
    ranges.push_back({segment.offset, segment.count});
  std::printf("%s", recipe_text(settings_).c_str());
  std::printf(
      "# plan: %lld steps %s, %zu micro-batches in the first, %zu gradient chunks\n",
      static_cast<long long>(plan.steps()), vocabularies_ ? "in the first epoch" : "an epoch",
      plan.step(0).micro_batches.size(),
      plan_chunks(student_->masters().numel(), ranges, gradient_chunk_bytes(config_.exchange))
          .size());
  if (vocabularies_) std::printf("# plan: %.2f %% padding\n", 100 * plan_->padding());
  std::printf("# student: %lld parameters; masters, shadows and gradients %s a rank\n",
              static_cast<long long>(student_->network().parameter_count()),
              human_bytes(elements * 4 * (student_->quantizer() ? 3 : 2)).c_str());
  const int64_t images = images_of_pass();
  const bool bf16 = use_bf16(config_.train.precision, device_.device);
  if (const auto cost = training_cost(student_->network(), bf16)) {
    std::printf("# student: %s\n", to_text(*cost, images).c_str());
  }
  if (teacher_ == nullptr) return;
  std::printf("# teacher: %s\n", layout_text(*teacher_).c_str());
  if (const auto cost = teacher_cost()) {
    std::printf("# teacher: %s\n", to_text(*cost, images).c_str());
  }
}

/// The rate at the start of some epochs, as the schedule has it now; of sentences as if all epochs
/// had the steps of the first.
std::string Job::rate_curve() const {
  const int64_t steps = plan_->epoch(0).steps();
  const Schedule schedule(config_.train);
  const int64_t epochs = config_.train.epochs, stride = std::max<int64_t>(1, (epochs + 9) / 10);
  std::string line = "rate by epoch:";
  for (int64_t epoch = 0; epoch < epochs; epoch += stride) {
    char text[64];
    std::snprintf(text, sizeof text, " %lld: %.5g", static_cast<long long>(epoch + 1),
                  schedule.rate({epoch * steps, epoch, 0, steps}));
    line += text;
  }
  return line;
}

/// In a step, the most of any rank.
int64_t Job::images_of_rank() const {
  const int64_t world = world_.place().world;
  return (config_.train.global_batch + world - 1) / world;
}

int64_t Job::images_of_pass() const {
  const int64_t micro = config_.train.micro_batch;
  return micro > 0 ? std::min(micro, images_of_rank()) : images_of_rank();
}

/// What the plan takes here, from real steps: memory, traffic, hours. The ranks are those of this
/// dry run, and so are its hours. Collective: every rank calls this.
void Job::measure_plan(Watchdog& watchdog) {
  const MeasuredStep step = measure_step(world_, watchdog, *dataset_, *plan_, *student_, teacher_,
                                         config_, device_.device, images_of_pass());
  const Place& place = world_.place();
  if (place.rank != 0) return;
  const TrainOptions& train = config_.train;
  const bool sentences = vocabularies_.has_value();
  const double seconds = sentences ? step.step_s : step.seconds(images_of_rank());
  const int64_t terms = sentences ? step.images * place.world : train.global_batch;
  std::printf("# measured on %s, ranks: %d, threads of each: %d, %s: %lld\n", device_.name.c_str(),
              place.world, device_.threads,
              sentences ? "target tokens a rank and step" : "images a pass",
              static_cast<long long>(step.images));
  std::string sent;
  for (int kind = 0; kind < kTrafficKinds; ++kind) {
    const TrafficCount& count = step.sent[static_cast<std::size_t>(kind)];
    if (count.bytes == 0) continue;
    sent += concat(sent.empty() ? "" : ", ", human_bytes(static_cast<double>(count.bytes)), " of ",
                   traffic_name(static_cast<Traffic>(kind)));
  }
  std::printf("# measured: a rank holds %s, sends %s a step\n",
              human_bytes(1e6 * step.memory_mb).c_str(), sent.empty() ? "nothing" : sent.c_str());
  const double hours =
      seconds * static_cast<double>(train.epochs * plan_->epoch(0).steps()) / kSecondsAnHour;
  std::printf(
      "# measured: %s %s/s, a step %s s; %lld epochs %s hours, %s of a rank, without "
      "validation\n",
      figure(static_cast<double>(terms) / seconds).c_str(), sentences ? "target tokens" : "images",
      figure(seconds).c_str(), static_cast<long long>(train.epochs), figure(hours).c_str(),
      figure(hours * place.world).c_str());
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
