// The loop over epochs and steps.
#include "training_run.hpp"

#include <algorithm>

#include "bitstill/base/log.hpp"
#include "bitstill/base/text.hpp"
#include "bitstill/comm/agree.hpp"

namespace bitstill {
namespace {

constexpr int kMostSkippedSteps = 20;  // in a row, before a run whose numbers are not finite ends

}  // namespace

TrainingRun::TrainingRun(World& world, Watchdog& watchdog, const Dataset& dataset,
                         const RunPlan& plan, Student& student, Teacher* teacher,
                         const TrainingOptions& options, const RunStart& start, Json about,
                         RunLog& log)
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
StepWishes TrainingRun::wishes() {
  StepWishes wishes{start_.stop_requested() || enough(1), false};
  if (world_.place().rank != 0) return wishes;
  const RunOptions& run = options_.run;
  wishes.stop |= run.walltime_s > 0 && process_seconds() > run.walltime_s;
  wishes.save = run.save_minutes > 0 && since_save_.seconds() > 60 * run.save_minutes;
  return wishes;
}

Trained TrainingRun::trained_now() const {
  if (options_.quant.alternate == Alternate::off) return trained_by(options_.quant);
  return state_.epoch % 2 == 0 ? Trained{true, true, false} : Trained{false, false, true};
}

/// Masters and learned values must be the same bits everywhere: one flipped on one rank would
/// spread into all of them by and by.
void TrainingRun::compare_ranks(int64_t step) {
  if (world_.place().world == 1) return;
  NamedValues items;
  for (const auto& [name, hash] : student_.fingerprints()) {
    items.emplace_back(concat(name, " after step ", step), hash);
  }
  require_equal(world_.control(), items, ExitCode::numbers);
}

EvaluateOptions TrainingRun::evaluate_options() const {
  EvaluateOptions evaluate;
  evaluate.device = start_.device;
  evaluate.progress = [this](bool waits) {
    watchdog_.progress(waits ? Phase::exchange : Phase::validate, state_.step);
  };
  return evaluate;
}

bool TrainingRun::train_epoch(const EpochPlan& plan) {
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

void TrainingRun::log_interval(const Moment& moment, double rate) {
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

void TrainingRun::validate() {
  watchdog_.progress(Phase::validate, state_.step);
  const AveragedStudent averaged(parts_.average);
  student_.quantize(state_.step);
  student_.require_good();
  validation_ = evaluate(student_.network(), dataset_, Split::validation, evaluate_options(),
                         world_.control());
}

/// By which epochs are compared, 0 to 100: the accuracy; of sentences, whose words are many, the
/// mean probability of a token, 1 / perplexity.
double TrainingRun::score() const {
  return sentences_ ? 100 / validation_.perplexity() : validation_.accuracy();
}

RunResult TrainingRun::run() {
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

}  // namespace bitstill
