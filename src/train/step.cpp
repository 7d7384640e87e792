// shards -> batch -> teacher -> soft targets -> quantized student -> loss -> gradients -> exchange
// -> update
#include "bitstill/train/step.hpp"

#include <algorithm>
#include <cmath>
#include <exception>

#include "bitstill/base/random.hpp"
#include "bitstill/base/timer.hpp"
#include "bitstill/comm/agree.hpp"
#include "bitstill/model/autocast.hpp"
#include "bitstill/train/loss.hpp"
#include "bitstill/train/sliced_loss.hpp"

namespace bitstill {

TrainingStep::TrainingStep(const StepParts& parts, const StepSettings& settings)
    : parts_(parts), settings_(settings), sentences_(of_sentences(parts.student.network().spec())) {
  if (sentences_) tied_head_ = head_is_tied(parts_.student.network());
  if (parts_.teacher == nullptr) return;
  parts_.teacher->on_wait([this](bool waits) {
    parts_.watchdog.progress(waits ? Phase::gather : Phase::teacher, step_);
  });
}

TrainingStep::~TrainingStep() {
  if (parts_.teacher != nullptr) parts_.teacher->on_wait({});  // it may outlive the step
}

StepResult TrainingStep::run(int64_t step, const StepPlan& plan, Prefetcher& batches, double rate,
                             const Trained& trained) {
  Communicator& control = parts_.control;
  step_ = step;
  Timer timer;
  parts_.student.quantize(step);
  seconds_.quantize += timer.lap();
  const bool only_points = !trained.weights && !trained.others;
  parts_.exchange.begin(step, plan, only_points ? Travels::points : Travels::weights);

  const std::exception_ptr failure = sweeps(step, plan, batches);

  timer.lap();
  parts_.watchdog.progress(Phase::exchange, step);
  StepResult result;
  result.totals =
      parts_.exchange.finish(failure != nullptr, settings_.wishes(), settings_.batch_norm_momentum);
  seconds_.exchange += timer.lap();
  if (result.totals.failed > 0) {
    agree(control, [&] {
      if (failure) std::rethrow_exception(failure);
    });
  }

  parts_.student.require_good();
  parts_.watchdog.progress(Phase::update, step);
  if (std::isfinite(result.totals.soft) && std::isfinite(result.totals.hard)) {
    update(rate, trained, &result);
  }
  seconds_.update += timer.lap();
  return result;
}

void TrainingStep::update(double rate, const Trained& trained, StepResult* result) {
  double weights = 0, learned = 0;
  if (trained.weights || trained.others) {
    // From the sums over all ranks: what is learned costs no message of its own.
    parts_.student.backward(trained.learned);
    weights = parts_.optimizer.gradient_norm();
  }
  if (trained.learned) learned = parts_.learned_optimizer.gradient_norm();
  result->gradient_norm = std::hypot(weights, learned);
  result->updated = std::isfinite(result->gradient_norm);
  if (!result->updated) return;
  if (trained.weights || trained.others) parts_.optimizer.update(rate, weights);
  if (trained.learned) parts_.learned_optimizer.update(rate);
}

/// All passes of this rank, the teacher asked before each sweep of them. What fails on this rank
/// alone is returned, and the rest of the passes has no samples.
std::exception_ptr TrainingStep::sweeps(int64_t step, const StepPlan& plan, Prefetcher& batches) {
  const int rank = parts_.control.rank();
  const bool together = parts_.teacher != nullptr && parts_.teacher->traits().slices.has_value();
  const bool synced = parts_.statistics != nullptr;
  const int64_t passes = plan.passes(rank, synced), most = plan.passes(rank, true);
  int64_t sweep = 1;
  if (together) sweep = settings_.sweep_batches > 0 ? settings_.sweep_batches : most;
  std::exception_ptr failure;
  for (int64_t first = 0; first < (together ? most : passes); first += sweep) {
    const int64_t end = std::min(first + sweep, passes);
    // Chunks leave once no gather is to come: a rank that waits for theirs would not answer.
    const bool last = !together || first + sweep >= most;
    parts_.watchdog.progress(Phase::data, step);
    std::vector<Pass> asked = read(batches, end - first, &failure);
    // Where other ranks wait inside the answer or for our batch norm's sums, only fatal ends it.
    try {
      parts_.watchdog.progress(Phase::teacher, step);
      ask(asked, step != last_step_ || first + sweep < most);
    } catch (...) {
      if (together || synced) throw;
      failure = std::current_exception();
      asked = read(batches, end - first, &failure);
    }
    for (int64_t pass = first; pass < end; ++pass) {
      try {
        train(step, plan, plan.first_of(rank) + pass, asked[static_cast<std::size_t>(pass - first)],
              last && pass + 1 == passes);
      } catch (...) {
        if (synced) throw;
        failure = std::current_exception();
      }
    }
  }
  return failure;
}

/// The next passes; after a failure, which this may be the first to meet, without samples.
std::vector<TrainingStep::Pass> TrainingStep::read(Prefetcher& batches, int64_t count,
                                                   std::exception_ptr* failure) {
  Timer timer;
  std::vector<Pass> passes(static_cast<std::size_t>(std::max<int64_t>(count, 0)));
  try {
    for (Pass& pass : passes) {
      if (!*failure) batches.next(&pass.batch);
      prepare(&pass);
    }
  } catch (...) {
    if (*failure) throw;  // preparing what holds no samples
    *failure = std::current_exception();
    return read(batches, count, failure);
  }
  seconds_.data += timer.lap();
  return passes;
}

void TrainingStep::prepare(Pass* pass) const {
  const Batch& batch = pass->batch;
  if (sentences_) {
    if (batch.count() == 0) return;
    const TargetEnds& ends = parts_.student.network().spec().ends;
    pass->tokens = std::make_unique<Tokens>(to_tokens(batch, ends, settings_.device));
    pass->question = {{}, batch.rows, batch.variant, batch.kept, pass->tokens.get()};
    return;
  }
  const auto input = [&](const Normalization& normalization) {
    return to_input(batch, settings_.shape, normalization, settings_.device,
                    settings_.channels_last);
  };
  const Normalization& own = parts_.student.network().spec().normalization;
  pass->x = input(own);
  pass->labels = to_labels(batch, settings_.device);
  if (parts_.teacher == nullptr) return;
  const TeacherTraits& its = parts_.teacher->traits();
  const bool same = its.cache || its.normalization == own;
  pass->question = {same ? pass->x : input(its.normalization), batch.rows, batch.variant,
                    batch.kept};
}

void TrainingStep::ask(std::span<Pass> passes, bool more) {
  if (parts_.teacher == nullptr) return;
  Timer timer;
  std::vector<Question> questions;
  for (const Pass& pass : passes) {
    if (pass.batch.count() > 0) questions.push_back(pass.question);
  }
  std::vector<Answer> answers = parts_.teacher->answer(questions, more);
  auto answer = answers.begin();
  for (Pass& pass : passes) {
    if (pass.batch.count() > 0) pass.answer = std::move(*answer++);
    pass.question = {};
  }
  seconds_.teacher += timer.lap();
}

void TrainingStep::train(int64_t step, const StepPlan& plan, int64_t number, const Pass& pass,
                         bool last) {
  // Without samples there is nothing to compute, unless other ranks wait for our batch norm's sums.
  const int64_t count = pass.batch.count();
  if (count == 0 && (sentences_ || parts_.statistics == nullptr)) return;
  parts_.watchdog.progress(Phase::forward, step);
  const ForwardMode how = mode(step, number);
  const at::Tensor sums =
      sentences_ ? train_sentences(plan, pass, how, last) : train_images(plan, pass, how, last);
  if (count > 0) parts_.exchange.after_backward(number, sums);
}

at::Tensor TrainingStep::train_images(const StepPlan& plan, const Pass& pass,
                                      const ForwardMode& mode, bool last) {
  Timer timer;
  at::Tensor logits;
  {
    AutocastScope autocast(settings_.bf16, settings_.device);
    logits = parts_.student.network().forward(pass.x, mode);
  }
  const Loss loss =
      distillation_loss(logits.detach().to(at::kFloat),
                        pass.answer ? pass.answer->logits(0, pass.batch.count()) : at::Tensor(),
                        pass.labels, settings_.distill, plan.terms, settings_.label_smoothing);
  seconds_.forward += timer.lap();

  parts_.watchdog.progress(Phase::backward, step_);
  parts_.exchange.before_backward(last);
  logits.backward(loss.gradient.to(logits.scalar_type()));
  seconds_.backward += timer.lap();
  return loss.sums;
}

/// The head's backward runs beside its forward, and counts as that.
at::Tensor TrainingStep::train_sentences(const StepPlan& plan, const Pass& pass,
                                         const ForwardMode& mode, bool last) {
  const Network& student = parts_.student.network();
  Timer timer;
  at::Tensor hidden;
  {
    AutocastScope autocast(settings_.bf16, settings_.device);
    hidden = student.hidden(*pass.tokens, mode);
  }
  const SliceSettings slices{settings_.distill, settings_.label_smoothing, plan.terms,
                             settings_.bf16};
  const SlicedLoss loss = head_and_loss(
      student, hidden, pass.tokens->labels, pass.answer ? &*pass.answer : nullptr, slices, mode,
      [&](bool last_slice) { parts_.exchange.before_backward(last && last_slice && !tied_head_); });
  seconds_.forward += timer.lap();

  parts_.watchdog.progress(Phase::backward, step_);
  parts_.exchange.before_backward(last);
  hidden.backward(loss.gradient);
  seconds_.backward += timer.lap();
  return loss.sums;
}

ForwardMode TrainingStep::mode(int64_t step, int64_t number) const {
  ForwardMode mode;
  mode.training = true;
  RandomStream stream(settings_.seed, StreamPurpose::dropout, static_cast<uint64_t>(step),
                      static_cast<uint32_t>(number));
  mode.dropout_seed = (static_cast<uint64_t>(stream.next()) << 32) | stream.next();
  if (Communicator* comm = parts_.statistics) {
    mode.sum_over_ranks = [comm](at::Tensor& sums) {
      const at::Tensor host = sums.cpu();  // the same memory where the device is the CPU
      comm->all_reduce(host.data_ptr<float>(), host.numel(), ElementType::f32);
      if (!sums.is_cpu()) sums.copy_(host);
    };
  }
  return mode;
}

}  // namespace bitstill
