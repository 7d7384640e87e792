// Ranks are threads: every rank has a student of its own and the same images, and takes its
// micro-batches of the plan.
#pragma once

#include <ATen/core/grad_mode.h>
#include <ATen/ops/zeros.h>

#include <functional>
#include <memory>
#include <vector>

#include "bitstill/comm/thread_world.hpp"
#include "bitstill/train/exchange.hpp"
#include "bitstill/train/loss.hpp"
#include "train_fixture.hpp"

namespace bitstill {

constexpr double kMomentum = 0.1;
constexpr uint64_t kSeed = 5;

struct Setting {
  ExchangeOrder order = ExchangeOrder::fast;
  bool lane = false;
  int64_t chunk_bytes = 1024;
  bool teacher = true;
  Travels travels = Travels::weights;
  Codec codec = Codec::none;
};

/// What a rank has after some steps.
struct Outcome {
  at::Tensor gradients, running;  // where only points travel, their gradients
  StepTotals totals;
};

inline at::Tensor teacher_of(const at::Tensor& x) {
  return x.flatten(1).narrow(1, 0, 4) * 2;
}

inline Loss backward(
    Student& student, const Images& images, const MicroBatch& micro, int64_t samples,
    const std::function<void()>& before = [] {}) {
  const at::Tensor x = images.x.narrow(0, micro.first, micro.count);
  ForwardMode mode;
  mode.training = true;
  const at::Tensor logits = student.network().forward(x, mode);
  const Loss loss =
      distillation_loss(logits.detach(), teacher_of(x),
                        {images.labels.narrow(0, micro.first, micro.count)}, {}, samples);
  before();
  logits.backward(loss.gradient);
  return loss;
}

inline std::unique_ptr<Channel> channel_of(Communicator& comm, const Setting& setting) {
  auto own = comm.duplicate(Traffic::gradients);
  return setting.lane ? make_lane_channel(std::move(own)) : make_inline_channel(std::move(own));
}

inline GradientExchange exchange_of(Communicator& comm, Student& student, const Setting& setting) {
  ExchangeOptions options;
  options.order = setting.order;
  options.chunk_bytes = setting.chunk_bytes;
  options.codec = setting.codec;
  auto points = setting.travels == Travels::points
                    ? make_inline_channel(comm.duplicate(Traffic::points))
                    : nullptr;
  return {student, comm.rank(), kSeed, options, channel_of(comm, setting), std::move(points)};
}

/// Its points learn where only points travel.
inline Student student_of(const Setting& setting) {
  QuantOptions options;
  if (setting.travels == Travels::points) options.method = QuantMethod::points;
  options.bits = 2;
  return small_student(4, options);
}

inline StepTotals take_step(Communicator& comm, Student& student, GradientExchange& exchange,
                            const Images& images, const StepPlan& plan, int64_t step = 0,
                            Travels travels = Travels::weights) {
  exchange.begin(step, plan, travels);
  for (int64_t n = plan.first_of(comm.rank()); n < plan.end_of(comm.rank()); ++n) {
    const MicroBatch& micro = plan.micro_batches[static_cast<std::size_t>(n)];
    const bool last = n + 1 == plan.end_of(comm.rank());
    const Loss loss =
        backward(student, images, micro, plan.terms, [&] { exchange.before_backward(last); });
    exchange.after_backward(n, loss.sums);
  }
  return exchange.finish(false, {}, kMomentum);
}

/// All steps of one epoch without updates; every rank ends with equal bits. Rank 0's outcomes.
inline std::vector<Outcome> run_epoch(int world, const Images& images, const EpochPlan& epoch,
                                      const Setting& setting) {
  std::vector<std::vector<Outcome>> all(static_cast<std::size_t>(world));
  run_as_ranks(world, [&](Communicator& comm) {
    at::set_num_threads(1);
    Student student = student_of(setting);
    GradientExchange exchange = exchange_of(comm, student, setting);
    const bool points = setting.travels == Travels::points;
    for (int64_t s = 0; s < epoch.steps(); ++s) {
      const StepTotals totals =
          take_step(comm, student, exchange, images, epoch.step(s), s, setting.travels);
      const at::Tensor& sent = points ? student.learned_gradients() : student.gradients();
      all[static_cast<std::size_t>(comm.rank())].push_back(
          {sent.clone(), student.running().clone(), totals});
      student.check_views();
    }
  });
  for (const auto& outcomes : all) {
    for (std::size_t s = 0; s < outcomes.size(); ++s) {
      EXPECT_TRUE(same_bits(outcomes[s].gradients, all[0][s].gradients));
      EXPECT_TRUE(same_bits(outcomes[s].running, all[0][s].running));
      EXPECT_EQ(outcomes[s].totals.soft, all[0][s].totals.soft);
      EXPECT_EQ(outcomes[s].totals.hard, all[0][s].totals.hard);
      EXPECT_EQ(outcomes[s].totals.correct, all[0][s].totals.correct);
    }
  }
  return all[0];
}

/// The values of one micro-batch: gradient, losses and correct [3], statistics.
struct Leaf {
  at::Tensor gradient, sums, statistics;
};

inline Leaf operator+(const Leaf& a, const Leaf& b) {
  return {a.gradient + b.gradient, a.sums + b.sums, a.statistics + b.statistics};
}

/// One rank and no exchange: each micro-batch of a step by itself.
inline std::vector<Leaf> leaves_of(const Images& images, const StepPlan& plan) {
  at::NoGradGuard no_grad;
  std::vector<Leaf> leaves;
  const auto samples = static_cast<double>(plan.terms);
  Student student = small_student(4);
  for (const MicroBatch& micro : plan.micro_batches) {
    student.gradients().zero_();
    Loss loss;
    {
      at::AutoGradMode grad(true);
      loss = backward(student, images, micro, plan.terms);
    }
    at::Tensor sums = at::zeros({3});
    sums.narrow(0, 0, 2).add_(loss.sums.narrow(0, 0, 2), 1 / samples);
    sums.narrow(0, 2, 1).add_(loss.sums.narrow(0, 2, 1));
    at::Tensor statistics = at::zeros_like(student.statistics());
    statistics.add_(student.statistics(), static_cast<double>(micro.count) / samples);
    leaves.push_back({student.gradients().clone(), sums, statistics});
  }
  return leaves;
}

}  // namespace bitstill
