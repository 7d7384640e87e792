#include "bitstill/train/trainer.hpp"

#include <algorithm>
#include <filesystem>

#include "bitstill/base/log.hpp"
#include "bitstill/base/text.hpp"
#include "bitstill/base/timer.hpp"
#include "bitstill/comm/agree.hpp"
#include "bitstill/comm/watched.hpp"
#include "bitstill/infer/evaluate.hpp"
#include "bitstill/infer/loaded_model.hpp"
#include "bitstill/store/checkpoint_folder.hpp"
#include "bitstill/train/assemble.hpp"
#include "bitstill/train/checkpoint_writer.hpp"
#include "bitstill/train/run_records.hpp"
#include "bitstill/train/ship.hpp"

namespace bitstill {
namespace {

constexpr int kMostSkippedSteps = 20;  // in a row, before a run whose numbers are not finite ends

class Run {
 public:
  Run(World& world, Watchdog& watchdog, const Dataset& dataset, const RunPlan& plan,
      Student& student, Teacher* teacher, const TrainingOptions& options, const RunStart& start,
      Json about, RunLog& log);
  RunResult run();

 private:
  bool train_epoch(const EpochPlan& plan);  // what is left of it; false: stopped before its end
  /// run.stop_steps, once `more` steps are done.
  bool enough(int64_t more = 0) const {
    return options_.run.stop_steps > 0 && state_.step + more >= options_.run.stop_steps;
  }
  void validate();
  double score() const;
  Trained trained_now() const;
  void compare_ranks(int64_t step);
  void log_interval(const Moment& moment, double rate);
  int64_t shipped_step() const;
  StepWishes wishes();
  ModelFile state() const;
  CheckpointMark mark() const {
    const bool selects = options_.train.select == Select::best;
    return {state_.step, state_.epoch, selects ? state_.best_step : 0};
  }
  void save(bool best, bool must);
  void resume();
  /// Of the next step.
  Moment now(const EpochPlan& plan) const {
    return {state_.step, state_.epoch, state_.within(), plan.steps()};
  }
  void finish(RunResult* result);
  Json measure_shipped(const std::string& name, RunResult* result);
  EvaluateOptions evaluate_options() const;
  std::string path(const std::string& name) const { return options_.run.folder + "/" + name; }

  World& world_;
  Watchdog& watchdog_;
  const Dataset& dataset_;
  const RunPlan& plan_;
  Student& student_;
  Teacher* teacher_;
  const TrainingOptions& options_;
  const RunStart& start_;
  Json about_;
  RunLog& log_;

  std::unique_ptr<RowDecoder> decoder_;
  TrainingParts parts_;
  CheckpointWriter writer_;
  RunState state_;
  Timer since_save_;
  bool sentences_;
  ClassificationCounts validation_;
  Tally interval_;
  Timer interval_timer_;
  TrafficCounts traffic_{};
};

Run::Run(World& world, Watchdog& watchdog, const Dataset& dataset, const RunPlan& plan,
         Student& student, Teacher* teacher, const TrainingOptions& options, const RunStart& start,
         Json about, RunLog& log)
    : world_(world),
      watchdog_(watchdog),
      dataset_(dataset),
      plan_(plan),
      student_(student),
      teacher_(teacher),
      options_(options),
      start_(start),
      about_(std::move(about)),
      log_(log),
      decoder_(make_training_decoder(dataset.index(), options.augmentation,
                                     augmentation_seed(options), options.decode_threads)),
      parts_(world, watchdog, dataset, student, teacher, options, start.device,
             [this] { return wishes(); }),
      writer_(world, {path("checkpoints"), options.run, options.exchange.overlap, start.may_publish,
                      start.published}),
      sentences_(of_sentences(student.network().spec())) {}

/// Rank 0's clocks decide for all.
StepWishes Run::wishes() {
  StepWishes wishes{start_.stop_requested() || enough(1), false};
  if (world_.place().rank != 0) return wishes;
  const RunOptions& run = options_.run;
  wishes.stop |= run.walltime_s > 0 && process_seconds() > run.walltime_s;
  wishes.save = run.save_minutes > 0 && since_save_.seconds() > 60 * run.save_minutes;
  return wishes;
}

Trained Run::trained_now() const {
  if (options_.quant.alternate == Alternate::off) return trained_by(options_.quant);
  return state_.epoch % 2 == 0 ? Trained{true, true, false} : Trained{false, false, true};
}

/// Masters and learned values must be the same bits everywhere: one flipped on one rank would
/// spread into all of them by and by.
void Run::compare_ranks(int64_t step) {
  if (world_.place().world == 1) return;
  NamedValues items;
  for (const auto& [name, hash] : student_.fingerprints()) {
    items.emplace_back(concat(name, " after step ", step), hash);
  }
  require_equal(world_.control(), items, ExitCode::numbers);
}

EvaluateOptions Run::evaluate_options() const {
  EvaluateOptions evaluate;
  evaluate.device = start_.device;
  evaluate.progress = [this](bool waits) {
    watchdog_.progress(waits ? Phase::exchange : Phase::validate, state_.step);
  };
  return evaluate;
}

bool Run::train_epoch(const EpochPlan& plan) {
  const int64_t first = state_.within();
  const BatchPlan batches =
      rank_batches(plan, world_.place().rank, parts_.statistics != nullptr, state_.epoch, first);
  if (state_.epoch + 1 == options_.train.epochs) {
    parts_.step.ends_at(state_.epoch_first + plan.steps() - 1);
  }
  const auto read_ahead = [teacher = teacher_](Batch* batch) {
    if (teacher != nullptr) teacher->read_ahead(batch);
  };
  Prefetcher prefetcher(dataset_, Split::train, batches, *decoder_,
                        static_cast<int>(options_.prefetch), read_ahead);
  const Trained trained = trained_now();
  if (student_.quantizer() != nullptr) {
    student_.quantizer()->use_uniform_points(options_.quant.alternate == Alternate::reference &&
                                             !trained.learned);
  }
  ProgressBar bar(concat("epoch ", state_.epoch + 1, "/", options_.train.epochs));
  for (int64_t i = first; i < plan.steps(); ++i) {
    const int64_t step = state_.step;
    const double rate = parts_.schedule.rate(now(plan));
    const StepPlan one = plan.step(i);
    const StepResult result = parts_.step.run(step, one, prefetcher, rate, trained);
    ++state_.step;
    state_.skipped = result.updated ? 0 : state_.skipped + 1;
    if (state_.skipped == kMostSkippedSteps) {
      throw AgreedError(ExitCode::numbers, concat("losses or gradients are not finite for ",
                                                  state_.skipped, " steps up to step ", step,
                                                  "; lower train.rate or give train.clip_norm"));
    }
    if (result.updated) {
      parts_.average.after_step();
      interval_.add(result, one.terms);
      state_.tally.add(result, one.terms);
    }
    bar.show(i + 1, plan.steps(), concat("loss ", result.totals.hard));
    if (state_.step % options_.run.log_steps == 0) log_interval(now(plan), rate);
    if (state_.step % options_.run.check_steps == 0) compare_ranks(state_.step);
    if (result.totals.stops > 0) return false;
    const int64_t every = options_.run.save_steps;
    const bool due = every > 0 && state_.step % every == 0;
    if ((due || result.totals.saves > 0) && i + 1 < plan.steps()) save(false, false);
  }
  student_.check_views();
  state_.end_epoch();
  parts_.average.after_epoch(state_.epoch);
  return true;
}

void Run::log_interval(const Moment& moment, double rate) {
  const double seconds = interval_timer_.lap();
  const double ms = 1000 / static_cast<double>(std::max<int64_t>(interval_.steps, 1));
  PhaseSeconds& phase = parts_.step.seconds();
  Json line = {{"type", "step"}, {"step", moment.step}, {"epoch", moment.epochs()}};
  line.update(interval_.json(options_.distill, teacher_ != nullptr));
  line["rate"] = rate;
  line["greatest_gradient_norm"] = interval_.gradient_norm;
  line[sentences_ ? "tokens_per_s" : "images_per_s"] =
      static_cast<double>(interval_.samples) / seconds;
  line["ms"] = {{"data", phase.data * ms},
                {"teacher", phase.teacher * ms},
                {"quantize", phase.quantize * ms},
                {"forward", phase.forward * ms},
                {"backward", phase.backward * ms},
                {"exchange", phase.exchange * ms},
                {"update", phase.update * ms},
                {"exchange_busy", parts_.exchange.take_busy_seconds() * ms}};
  if (teacher_ != nullptr && teacher_->traits().slices) {
    const GatherSeconds gather = teacher_->take_gather_seconds();
    line["ms"]["teacher"] = (phase.teacher - gather.exposed) * ms;
    line["ms"]["gather"] = gather.exposed * ms;
    line["ms"]["gather_busy"] = gather.busy * ms;
    line["window_bytes"] = teacher_->traits().slices->window;
  }
  line["steps"] = interval_.steps;
  line["seconds"] = seconds;
  line["bytes"] = traffic_json(&traffic_, std::max<int64_t>(interval_.steps, 1));
  line["memory_mb"] = peak_memory_mb();
  log_.write(line);
  phase = PhaseSeconds{};
  interval_ = Tally{};
}

void Run::validate() {
  watchdog_.progress(Phase::validate, state_.step);
  const AveragedStudent averaged(parts_.average);
  student_.quantize(state_.step);
  student_.require_good();
  validation_ = evaluate(student_.network(), dataset_, Split::validation, evaluate_options(),
                         world_.control());
}

/// By which epochs are compared, 0 to 100: the accuracy; of sentences, whose words are many, the
/// mean probability of a token, 1 / perplexity.
double Run::score() const {
  return sentences_ ? 100 / validation_.perplexity() : validation_.accuracy();
}

ModelFile Run::state() const {
  return checkpoint_state(about_, start_.record, student_, parts_.optimizer,
                          parts_.learned_optimizer, parts_.average, parts_.schedule, state_);
}

/// `best`: validated, the best epoch so far. `must`: the run is not to go on without it.
void Run::save(bool best, bool must) {
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
void Run::resume() {
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
int64_t Run::shipped_step() const {
  const bool best = options_.train.select == Select::best && state_.best_epoch > 0;
  return best ? state_.best_step : state_.step;
}

RunResult Run::run() {
  if (!start_.resume_from.empty()) resume();
  since_save_.lap();
  if (teacher_ != nullptr) teacher_->take_gather_seconds();  // of a run before
  RunResult result;
  const TrainOptions& train = options_.train;
  while (state_.epoch < train.epochs && !state_.out_of_patience(train.patience)) {
    if (enough()) {  // before the run went on
      result.cut = true;
      return result;
    }
    Timer timer;
    interval_timer_.lap();
    parts_.step.seconds() = PhaseSeconds{};
    parts_.exchange.take_busy_seconds();
    interval_ = Tally{};
    traffic_ = traffic_counts();
    if (state_.within() == 0) state_.tally = Tally{};
    const int64_t samples_before = state_.tally.samples;
    const EpochPlan plan = plan_.epoch(state_.epoch);
    const double rate = parts_.schedule.rate({state_.epoch_first, state_.epoch, 0, plan.steps()});
    if (!train_epoch(plan)) {
      save(false, true);
      writer_.wait();
      result.cut = enough();
      result.stopped = !result.cut;
      return result;
    }
    const double train_seconds = timer.seconds();
    validate();
    parts_.schedule.observe(100 - score());
    save(state_.note_validation(validation_.samples > 0 ? score() : -1), false);
    const Json trained = state_.tally.json(options_.distill, teacher_ != nullptr);
    log_.write({{"type", "epoch"},
                {"epoch", state_.epoch},
                {"step", state_.step},
                {"seconds", timer.seconds()},
                {"train", trained},
                {"validation", counts_json(validation_, sentences_)},
                {"rate", rate}});
    char validation[32] = "none", line[176];
    if (validation_.samples > 0) {
      std::snprintf(validation, sizeof validation, "%5.2f %%", validation_.accuracy());
    }
    if (sentences_) {
      std::snprintf(validation, sizeof validation, "perplexity %.3f", validation_.perplexity());
    }
    std::snprintf(line, sizeof line,
                  "epoch %3lld/%lld  loss %.4f  train %5.2f %%  validation %s  rate %.5f  "
                  "%.0f %s/s",
                  static_cast<long long>(state_.epoch), static_cast<long long>(train.epochs),
                  trained["loss"].get<double>(), trained["accuracy"].get<double>(), validation,
                  rate, static_cast<double>(state_.tally.samples - samples_before) / train_seconds,
                  sentences_ ? "target tokens" : "images");
    say(line);
    if (state_.out_of_patience(train.patience)) {
      say(concat("no better epoch for ", train.patience, " epochs: stopping early"));
    }
  }
  // Without an epoch nothing was saved: killed from here on, the run must go on, too.
  if (state_.step == 0 && start_.resume_from.empty()) save(false, false);
  watchdog_.progress(Phase::save, state_.step);
  writer_.wait();
  finish(&result);
  return result;
}

void Run::finish(RunResult* result) {
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
Json Run::measure_shipped(const std::string& name, RunResult* result) {
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

}  // namespace

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
  Run run(world, watchdog, dataset, plan, student, teacher, options, start, about, log);
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
