#include "measured_step.hpp"

#include <algorithm>
#include <memory>
#include <vector>

#include "bitstill/base/timer.hpp"
#include "bitstill/train/run_records.hpp"

namespace bitstill {
namespace {

constexpr int64_t kFirstImages = 2;   // of a rank; they tell how many can be timed
constexpr double kLongestPass_s = 4;  // aimed at

class StepTimer {
 public:
  StepTimer(World& world, Watchdog& watchdog, const Dataset& dataset, Student& student,
            Teacher* teacher, const TrainingOptions& options, const at::Device& device)
      : world_(world),
        dataset_(dataset),
        teacher_(teacher),
        options_(options),
        on_cpu_(device.is_cpu()),
        decoder_(make_training_decoder(dataset.index(), options.augmentation,
                                       augmentation_seed(options), options.decode_threads)),
        parts_(world, watchdog, dataset, student, teacher, options, device,
               [] { return StepWishes{}; }) {}

  /// The epoch's first step, after one that is not timed.
  MeasuredStep time(const EpochPlan& epoch) {
    const int world = world_.place().world;
    const StepPlan plan = epoch.step(0);
    Prefetcher batches(dataset_, Split::train, always(epoch), *decoder_,
                       static_cast<int>(options_.prefetch), [this](Batch* batch) {
                         if (teacher_ != nullptr) teacher_->read_ahead(batch);
                       });
    run(plan, &batches);
    const TrafficCounts before = traffic_counts();
    PhaseSeconds& phases = parts_.step.seconds();
    phases = {};
    world_.control().barrier();
    Timer timer;
    run(plan, &batches);
    double found[3] = {timer.seconds(),
                       phases.data + phases.teacher + phases.forward + phases.backward,
                       peak_memory_mb()};
    world_.control().all_reduce(found, 3, ElementType::f64, Reduction::max);
    // A GPU's phases end before their work does: there the whole step counts as its pass.
    MeasuredStep measured;
    measured.images = (plan.terms + world - 1) / world;  // small shards may hold fewer
    measured.step_s = found[0];
    measured.pass_s = on_cpu_ ? std::min(found[1], found[0]) : found[0];
    measured.memory_mb = found[2];
    measured.sent = traffic_since(before);
    return measured;
  }

 private:
  /// This rank's passes of the first step again and again.
  BatchPlan always(const EpochPlan& first) const {
    const int rank = world_.place().rank;
    const StepPlan plan = first.step(0);
    std::vector<std::vector<int64_t>> passes;
    for (int64_t number = plan.first_of(rank); number < plan.end_of(rank); ++number) {
      passes.push_back(first.rows(plan.micro_batches[static_cast<std::size_t>(number)]));
    }
    const bool synced = parts_.statistics != nullptr;
    passes.resize(static_cast<std::size_t>(plan.passes(rank, synced)));
    return [passes](int64_t n, std::vector<int64_t>* batch, int64_t* epoch) {
      if (passes.empty()) return false;
      *batch = passes[static_cast<std::size_t>(n) % passes.size()];
      *epoch = 0;
      return true;
    };
  }

  void run(const StepPlan& plan, Prefetcher* batches) {
    constexpr double kRate = 0;  // masters stay as they are
    parts_.step.run(step_++, plan, *batches, kRate, trained_in_run(options_.quant));
  }

  World& world_;
  const Dataset& dataset_;
  Teacher* teacher_;
  const TrainingOptions& options_;
  bool on_cpu_;
  std::unique_ptr<RowDecoder> decoder_;
  TrainingParts parts_;
  int64_t step_ = 0;
};

}  // namespace

MeasuredStep measure_step(World& world, Watchdog& watchdog, const Dataset& dataset,
                          const RunPlan& plan, Student& student, Teacher* teacher,
                          const TrainingOptions& options, const at::Device& device,
                          int64_t most_images) {
  StepTimer timer(world, watchdog, dataset, student, teacher, options, device);
  const EpochPlan first = plan.epoch(0);
  const auto time = [&](int64_t images) {
    const int ranks = world.place().world;
    return timer.time({first.order(), images * ranks, 0, ranks});
  };
  if (dataset.index().content == Content::tokens) {
    const MeasuredStep measured = timer.time(first);
    if (teacher != nullptr) teacher->settle();
    return measured;
  }
  MeasuredStep measured = time(std::min(kFirstImages, most_images));
  const double affordable =
      kLongestPass_s / std::max(measured.pass_s, 1e-9) * static_cast<double>(measured.images);
  const auto images = static_cast<int64_t>(std::min(affordable, static_cast<double>(most_images)));
  if (images > measured.images) measured = time(images);
  if (teacher != nullptr) teacher->settle();  // it was ready for a step more
  return measured;
}

}  // namespace bitstill
