#include "measured_step.hpp"

#include <algorithm>
#include <memory>
#include <vector>

#include "bitstill/base/timer.hpp"
#include "bitstill/data/sampler.hpp"
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
        order_(epoch_order(dataset.size(Split::train), static_cast<uint64_t>(options.run.seed), 0)),
        decoder_(make_training_decoder(dataset.index(), options.augmentation,
                                       augmentation_seed(options), options.decode_threads)),
        parts_(world, watchdog, dataset, student, teacher, options, device, [] { return false; }) {}

  /// A step with one pass of `images` on each rank, after one that is not timed.
  MeasuredStep time(int64_t images) {
    const int world = world_.place().world;
    const StepPlan plan = EpochPlan(dataset_.size(Split::train), images * world, 0, world).step(0);
    Prefetcher batches(dataset_, Split::train, always(plan), *decoder_,
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
  /// The same pass again and again.
  BatchPlan always(const StepPlan& plan) const {
    const int rank = world_.place().rank;
    std::vector<int64_t> rows;
    if (plan.first_of(rank) < plan.end_of(rank)) {
      const MicroBatch& mine = plan.micro_batches[static_cast<std::size_t>(plan.first_of(rank))];
      rows.assign(order_.begin() + mine.first, order_.begin() + mine.first + mine.count);
    }
    return [rows](int64_t, std::vector<int64_t>* batch, int64_t* epoch) {
      *batch = rows;
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
  std::vector<int64_t> order_;
  std::unique_ptr<RowDecoder> decoder_;
  TrainingParts parts_;
  int64_t step_ = 0;
};

}  // namespace

MeasuredStep measure_step(World& world, Watchdog& watchdog, const Dataset& dataset,
                          Student& student, Teacher* teacher, const TrainingOptions& options,
                          const at::Device& device, int64_t most_images) {
  StepTimer timer(world, watchdog, dataset, student, teacher, options, device);
  MeasuredStep measured = timer.time(std::min(kFirstImages, most_images));
  const double affordable =
      kLongestPass_s / std::max(measured.pass_s, 1e-9) * static_cast<double>(measured.images);
  const auto images = static_cast<int64_t>(std::min(affordable, static_cast<double>(most_images)));
  if (images > measured.images) measured = timer.time(images);
  if (teacher != nullptr) teacher->settle();  // it was ready for a step more
  return measured;
}

}  // namespace bitstill
