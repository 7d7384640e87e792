#include "bitstill/train/trainer.hpp"

#include <optional>

#include "bitstill/base/text.hpp"
#include "bitstill/comm/agree.hpp"
#include "bitstill/comm/watched.hpp"
#include "training_run.hpp"

namespace bitstill {

RunResult run_training(World& world, Watchdog& watchdog, const Dataset& dataset,
                       const RunPlan& plan, Student& student, Teacher* teacher,
                       const TrainingOptions& options, const RunStart& start, const Json& about,
                       RunLog& log) {
  const TrainOptions& train = options.train;
  if (dataset.size(Split::validation) == 0 &&
      (train.select == Select::best || train.schedule == RateSchedule::plateau ||
       train.patience > 0)) {
    throw AgreedError(ExitCode::settings,
                      "the shards hold no validation split, which train.select = best, "
                      "train.schedule = plateau and train.patience need; make shards with some");
  }
  if (train.reestimate_batches > 0 && student.running().numel() == 0) {
    throw AgreedError(ExitCode::settings,
                      concat("train.reestimate_batches = ", train.reestimate_batches,
                             ": the network has no batch norm; leave it out"));
  }
  TrainingRun run(world, watchdog, dataset, plan, student, teacher, options, start, about, log);
  RunResult result;
  const auto settle = [&] {
    if (teacher != nullptr) teacher->settle();
  };
  try {
    try {
      result = run.run();
    } catch (const AgreedError&) {
      settle();  // all ranks are here, and what they sent ahead belongs together
      throw;
    }
    settle();
  } catch (const AgreedError&) {
    throw;
  } catch (const std::exception& error) {
    // Here, where the buffers of a running exchange still live: other ranks may be reading them.
    const auto* ours = dynamic_cast<const Error*>(&error);
    const std::optional<Watched> place = watched();
    world.fatal(
        ours != nullptr ? ours->code() : ExitCode::environment,
        concat(error.what(), " (in ", phase_name(place->phase), " of step ", place->step, ")"));
  }
  return result;
}

}  // namespace bitstill
