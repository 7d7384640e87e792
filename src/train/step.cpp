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
#include "bitstill/model/input.hpp"
#include "bitstill/train/loss.hpp"

namespace bitstill {

StepResult TrainingStep::run(int64_t step, const StepPlan& plan, Prefetcher& batches, double rate,
                             const Trained& trained) {
  Communicator& control = parts_.control;
  const int rank = control.rank();
  Timer timer;
  parts_.student.quantize(step);
  seconds_.quantize += timer.lap();
  const bool only_points = !trained.weights && !trained.others;
  parts_.exchange.begin(plan, only_points ? Travels::points : Travels::weights);

  const int64_t passes = plan.passes(rank, parts_.statistics != nullptr);
  std::exception_ptr failure;
  for (int64_t pass = 0; pass < passes; ++pass) {
    Batch batch;
    timer.lap();
    parts_.watchdog.progress(Phase::data, step);
    try {
      if (!failure) batches.next(&batch);
    } catch (...) {
      failure = std::current_exception();
      batch = Batch{};
    }
    seconds_.data += timer.lap();
    // Without samples there is nothing to compute, unless other ranks wait for our batch norm's
    // sums.
    if (batch.count() == 0 && parts_.statistics == nullptr) continue;
    try {
      micro_batch(step, plan, plan.first_of(rank) + pass, batch, pass + 1 == passes);
    } catch (...) {
      if (parts_.statistics != nullptr)
        throw;  // the others wait inside this pass: only fatal ends it
      failure = std::current_exception();
    }
  }

  timer.lap();
  parts_.watchdog.progress(Phase::exchange, step);
  StepResult result;
  result.totals = parts_.exchange.finish(failure != nullptr, settings_.stop_requested(),
                                         settings_.batch_norm_momentum);
  seconds_.exchange += timer.lap();
  if (result.totals.failed > 0) {
    agree(control, [&] {
      if (failure) std::rethrow_exception(failure);
    });
  }

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

void TrainingStep::micro_batch(int64_t step, const StepPlan& plan, int64_t number,
                               const Batch& batch, bool last) {
  Timer timer;
  const Network& student = parts_.student.network();
  const auto input = [&](const Normalization& normalization) {
    return to_input(batch, settings_.shape, normalization, settings_.device,
                    settings_.channels_last);
  };
  const at::Tensor x = input(student.spec().normalization);
  const auto labels = to_labels(batch, settings_.device);
  seconds_.data += timer.lap();

  at::Tensor teacher_logits, logits;
  if (Teacher* teacher = parts_.teacher) {
    parts_.watchdog.progress(Phase::teacher, step);
    const Normalization& its = teacher->traits().normalization;
    teacher_logits = teacher->logits(its == student.spec().normalization ? x : input(its));
    seconds_.teacher += timer.lap();
  }
  parts_.watchdog.progress(Phase::forward, step);
  {
    AutocastScope autocast(settings_.bf16, settings_.device);
    logits = student.forward(x, mode(step, number));
  }
  const Loss loss = distillation_loss(logits.detach().to(at::kFloat), teacher_logits, labels,
                                      settings_.distill, plan.samples);
  seconds_.forward += timer.lap();

  parts_.watchdog.progress(Phase::backward, step);
  parts_.exchange.before_backward(last);
  logits.backward(loss.gradient.to(logits.scalar_type()));
  if (batch.count() > 0) parts_.exchange.after_backward(number, loss.sums);
  seconds_.backward += timer.lap();
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
