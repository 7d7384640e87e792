// What a run keeps and ships: its checkpoints, and the files at its end.
#include <filesystem>

#include "bitstill/base/log.hpp"
#include "bitstill/base/text.hpp"
#include "bitstill/comm/agree.hpp"
#include "bitstill/infer/loaded_model.hpp"
#include "bitstill/store/checkpoint_folder.hpp"
#include "bitstill/train/ship.hpp"
#include "training_run.hpp"

namespace bitstill {

ModelFile TrainingRun::state() const {
  return checkpoint_state(about_, start_.record, student_, parts_.optimizer,
                          parts_.learned_optimizer, parts_.average, parts_.schedule, state_);
}

/// `best`: validated, the best epoch so far. `must`: the run is not to go on without it.
void TrainingRun::save(bool best, bool must) {
  watchdog_.progress(Phase::save, state_.step);
  if (best && options_.train.select == Select::best) {
    ModelFile masters;
    {
      const AveragedStudent averaged(parts_.average);
      masters = masters_state(about_, student_, state_.step);
      for (auto& [name, tensor] : masters.tensors) tensor = tensor.clone();
    }
    writer_.save(state(), &masters, mark(), must);
  } else {
    writer_.save(state(), nullptr, mark(), must);
  }
  since_save_.lap();
}

/// From the checkpoint that rank 0 chose; every rank must read the same bytes of it, and come to
/// the same state.
void TrainingRun::resume() {
  Communicator& control = world_.control();
  const std::string& from = start_.resume_from;
  watchdog_.progress(Phase::load, 0);
  std::string digest;
  agree(control,
        [&] { digest = is_checkpoint(from) ? read_manifest(from).seal : model_sha256(from); });
  require_equal(control, {{"the checkpoint " + from, digest}}, ExitCode::model);
  agree(control, [&] {
    state_ = load_checkpoint(from, student_, parts_.optimizer, parts_.learned_optimizer,
                             parts_.average, parts_.schedule);
  });
  const EpochPlan plan = plan_.epoch(state_.epoch);
  state_.complete(plan.steps());
  require_equal(control, fingerprints(state()), ExitCode::model);
  const int64_t within = state_.within();
  if (within < 0 || within > plan.steps()) {
    throw AgreedError(ExitCode::model,
                      concat(from, " stands ", within, " steps into an epoch, which has ",
                             plan.steps(), "; it is of other data or batches"));
  }
  if (is_checkpoint(from)) {
    writer_.resumed_from(mark(), read_manifest(from));
  } else if (const std::string best = path("checkpoints/best.safetensors");
             control.rank() == 0 && std::filesystem::exists(best) && state_.best_step > 0) {
    std::filesystem::rename(best, path("checkpoints/" + best_name(state_.best_step)));
  }
  if (control.rank() == 0) start_.published(state_.step);
  say(concat("resuming after epoch ", state_.epoch,
             within > 0 ? concat(" and ", within, " of ", plan.steps(), " steps") : ""));
  // What the log holds after this is about to be done again.
  Json line = {{"type", "resumed"}, {"epoch", state_.epoch}, {"step", state_.step}};
  if (within > 0) line["epoch"] = now(plan).epochs();
  log_.write(line);
}

/// After which the weights that ship were: rounding as it was when they were validated.
int64_t TrainingRun::shipped_step() const {
  const bool best = options_.train.select == Select::best && state_.best_epoch > 0;
  return best ? state_.best_step : state_.step;
}

void TrainingRun::finish(RunResult* result) {
  Communicator& control = world_.control();
  watchdog_.progress(Phase::finish, state_.step);
  if (options_.train.select == Select::best && state_.best_epoch > 0) {
    agree(control,
          [&] { load_masters(path("checkpoints/" + best_name(state_.best_step)), student_); });
  } else {
    parts_.average.swap();
  }
  compare_ranks(shipped_step());
  if (student_.quantizer() != nullptr) student_.quantizer()->use_uniform_points(false);
  const int64_t step = shipped_step();
  student_.quantize(step);
  student_.require_good();
  Json end = {{"type", "end"}, {"best_epoch", state_.best_epoch}};
  if (options_.train.reestimate_batches > 0) {
    const std::string trained = "student_trained_norm.safetensors";
    write_student_file(path(trained), about_, student_, step, control);
    end["without_reestimation"] = measure_shipped(trained, nullptr);
    reestimate_batch_norm(student_, dataset_, options_.train, evaluate_options(), control);
  }
  agree(control, [&] {
    if (control.rank() == 0) start_.may_publish();
  });
  write_run_files(options_.run.folder, about_, student_, step, control);
  end.update(measure_shipped("student.safetensors", result));
  end["files"]["master.safetensors"] = {
      {"bytes", std::filesystem::file_size(path("master.safetensors"))}};
  end["fp32_file_bytes"] = fp32_file_bytes(about_, student_, step);
  end["time"] = utc_now();
  result->best_epoch = state_.best_epoch;
  log_.write(end);
}

/// What a file that was written is worth: only its bytes count, never the weights in memory.
Json TrainingRun::measure_shipped(const std::string& name, RunResult* result) {
  Communicator& control = world_.control();
  LoadedModel shipped;
  std::string digest;
  agree(control, [&] {
    digest = model_sha256(path(name));
    shipped = load_model(path(name));
    shipped.network->to(start_.device);
  });
  require_equal(control, {{path(name), digest}}, ExitCode::model);
  const auto measure = [&](Split split) {
    return evaluate(*shipped.network, dataset_, split, evaluate_options(), control);
  };
  const ClassificationCounts validation = measure(Split::validation), test = measure(Split::test);
  if (result != nullptr) {
    result->validation = validation;
    result->test = test;
  }
  return {{"validation", counts_json(validation, sentences_)},
          {"test", counts_json(test, sentences_)},
          {"files", {{name, {{"bytes", shipped.file_bytes}}}}}};
}

}  // namespace bitstill
