// Ranks are threads: every rank has a student of its own and the same images, and takes its
// micro-batches of the plan.
#include "bitstill/train/exchange.hpp"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>

#include <functional>
#include <mutex>
#include <numeric>

#include "bitstill/comm/thread_world.hpp"
#include "bitstill/train/loss.hpp"
#include "train_fixture.hpp"

namespace bitstill {
namespace {

constexpr double kMomentum = 0.1;

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

at::Tensor teacher_of(const at::Tensor& x) {
  return x.flatten(1).narrow(1, 0, 4) * 2;
}

Loss backward(
    Student& student, const Images& images, const MicroBatch& micro, int64_t samples,
    const std::function<void()>& before = [] {}) {
  const at::Tensor x = images.x.narrow(0, micro.first, micro.count);
  ForwardMode mode;
  mode.training = true;
  const at::Tensor logits = student.network().forward(x, mode);
  const Loss loss =
      distillation_loss(logits.detach(), teacher_of(x),
                        images.labels.narrow(0, micro.first, micro.count), {}, samples);
  before();
  logits.backward(loss.gradient);
  return loss;
}

std::unique_ptr<Channel> channel_of(Communicator& comm, const Setting& setting) {
  auto own = comm.duplicate(Traffic::gradients);
  return setting.lane ? make_lane_channel(std::move(own)) : make_inline_channel(std::move(own));
}

GradientExchange exchange_of(Communicator& comm, Student& student, const Setting& setting) {
  ExchangeOptions options;
  options.order = setting.order;
  options.chunk_bytes = setting.chunk_bytes;
  options.codec = setting.codec;
  auto points = setting.travels == Travels::points
                    ? make_inline_channel(comm.duplicate(Traffic::points))
                    : nullptr;
  return {student, comm.rank(), options, channel_of(comm, setting), std::move(points)};
}

/// Its points learn where only points travel.
Student student_of(const Setting& setting) {
  QuantOptions options;
  if (setting.travels == Travels::points) options.method = QuantMethod::points;
  options.bits = 2;
  return small_student(4, options);
}

StepTotals take_step(Communicator& comm, Student& student, GradientExchange& exchange,
                     const Images& images, const StepPlan& plan,
                     Travels travels = Travels::weights) {
  exchange.begin(plan, travels);
  for (int64_t n = plan.first_of(comm.rank()); n < plan.end_of(comm.rank()); ++n) {
    const MicroBatch& micro = plan.micro_batches[static_cast<std::size_t>(n)];
    const bool last = n + 1 == plan.end_of(comm.rank());
    const Loss loss =
        backward(student, images, micro, plan.samples, [&] { exchange.before_backward(last); });
    exchange.after_backward(n, loss.sums);
  }
  return exchange.finish(false, false, kMomentum);
}

/// All steps of one epoch without updates; every rank ends with equal bits. Rank 0's outcomes.
std::vector<Outcome> run_epoch(int world, const Images& images, const EpochPlan& epoch,
                               const Setting& setting) {
  std::vector<std::vector<Outcome>> all(static_cast<std::size_t>(world));
  run_as_ranks(world, [&](Communicator& comm) {
    at::set_num_threads(1);
    Student student = student_of(setting);
    GradientExchange exchange = exchange_of(comm, student, setting);
    const bool points = setting.travels == Travels::points;
    for (int64_t s = 0; s < epoch.steps(); ++s) {
      const StepTotals totals =
          take_step(comm, student, exchange, images, epoch.step(s), setting.travels);
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

Leaf operator+(const Leaf& a, const Leaf& b) {
  return {a.gradient + b.gradient, a.sums + b.sums, a.statistics + b.statistics};
}

/// One rank and no exchange: each micro-batch of a step by itself.
std::vector<Leaf> leaves_of(const Images& images, const StepPlan& plan) {
  at::NoGradGuard no_grad;
  std::vector<Leaf> leaves;
  const auto samples = static_cast<double>(plan.samples);
  Student student = small_student(4);
  for (const MicroBatch& micro : plan.micro_batches) {
    student.gradients().zero_();
    Loss loss;
    {
      at::AutoGradMode grad(true);
      loss = backward(student, images, micro, plan.samples);
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

/// The tree by its definition: left half of a power of two, plus right half if any.
Leaf tree_sum(const std::vector<Leaf>& leaves, std::size_t first, std::size_t width) {
  if (width == 1) return leaves[first];
  const Leaf left = tree_sum(leaves, first, width / 2);
  if (first + width / 2 >= leaves.size()) return left;
  return left + tree_sum(leaves, first + width / 2, width / 2);
}

struct Plan {
  int64_t samples, global_batch, micro_batch;
};
// Up to 13 micro-batches a step; ranks without any; uneven last steps.
const Plan kPlans[] = {{26, 26, 2}, {23, 11, 2}, {26, 26, 3}, {17, 9, 4}, {5, 5, 2}, {12, 6, 6}};

TEST(Exchange, FixedOrderIsOneTreeAtAnyWorldSize) {
  at::set_num_threads(1);
  const Images images(26);
  for (const Plan& p : kPlans) {
    for (const int world : {1, 2, 3, 4}) {
      SCOPED_TRACE(testing::Message() << p.samples << "/" << p.global_batch << "/" << p.micro_batch
                                      << " on " << world);
      const EpochPlan epoch(p.samples, p.global_batch, p.micro_batch, world);
      const auto outcomes =
          run_epoch(world, images, epoch, {ExchangeOrder::fixed, world % 2 == 0, 1024, true});
      at::Tensor running = small_student(4).running().clone();
      for (int64_t s = 0; s < epoch.steps(); ++s) {
        const auto leaves = leaves_of(images, epoch.step(s));
        std::size_t width = 1;
        while (width < leaves.size()) width *= 2;
        const Leaf sum = tree_sum(leaves, 0, width);
        const Outcome& outcome = outcomes[static_cast<std::size_t>(s)];
        EXPECT_TRUE(same_bits(outcome.gradients, sum.gradient));
        running.lerp_(sum.statistics, kMomentum);
        EXPECT_TRUE(same_bits(outcome.running, running));
        EXPECT_EQ(outcome.totals.soft, sum.sums[0].item<float>());
        EXPECT_EQ(outcome.totals.hard, sum.sums[1].item<float>());
        EXPECT_EQ(outcome.totals.correct, sum.sums[2].item<float>());
      }
    }
  }
}

TEST(Exchange, FastOrderIsThePlainSum) {
  at::set_num_threads(1);
  const Images images(26);
  std::vector<Plan> plans(std::begin(kPlans), std::end(kPlans));
  plans.push_back({26, 13, 0});
  plans.push_back({4, 4, 0});
  for (const Plan& p : plans) {
    for (const int world : {1, 2, 3, 4}) {
      SCOPED_TRACE(testing::Message() << p.samples << "/" << p.global_batch << "/" << p.micro_batch
                                      << " on " << world);
      const EpochPlan epoch(p.samples, p.global_batch, p.micro_batch, world);
      const auto outcomes =
          run_epoch(world, images, epoch, {ExchangeOrder::fast, world % 2 == 1, 2048, true});
      at::Tensor running = small_student(4).running().to(at::kDouble);
      for (int64_t s = 0; s < epoch.steps(); ++s) {
        at::Tensor gradient = at::zeros({outcomes[0].gradients.numel()}, at::kDouble);
        at::Tensor statistics = at::zeros_like(running), sums = at::zeros({3}, at::kDouble);
        for (const Leaf& leaf : leaves_of(images, epoch.step(s))) {
          gradient += leaf.gradient;
          statistics += leaf.statistics;
          sums += leaf.sums;
        }
        running = running * (1 - kMomentum) + statistics * kMomentum;
        const Outcome& outcome = outcomes[static_cast<std::size_t>(s)];
        const double largest = gradient.abs().max().item<double>();
        EXPECT_GT(largest, 1e-2);
        EXPECT_LT(largest_difference(outcome.gradients, gradient), 1e-6 * std::max(1.0, largest));
        EXPECT_LT(largest_difference(outcome.running, running), 1e-6);
        EXPECT_NEAR(outcome.totals.soft, sums[0].item<double>(), 1e-5);
        EXPECT_NEAR(outcome.totals.hard, sums[1].item<double>(), 1e-5);
        EXPECT_EQ(outcome.totals.correct, sums[2].item<double>());
      }
    }
  }
}

TEST(Exchange, ALaneChangesNoBit) {
  const Images images(23);
  for (const ExchangeOrder order : {ExchangeOrder::fast, ExchangeOrder::fixed}) {
    for (const int64_t chunk_bytes : {1024, 1 << 20}) {
      const EpochPlan epoch(23, 11, 3, 3);
      const auto one = run_epoch(3, images, epoch, {order, false, chunk_bytes, true});
      const auto two = run_epoch(3, images, epoch, {order, true, chunk_bytes, true});
      for (std::size_t s = 0; s < one.size(); ++s) {
        EXPECT_TRUE(same_bits(one[s].gradients, two[s].gradients)) << order;
        EXPECT_TRUE(same_bits(one[s].running, two[s].running)) << order;
      }
    }
  }
}

/// y = x a, plus x b on passes whose dropout seed is odd; c is never used.
class Choosy : public Unit {
 public:
  Choosy() {
    int64_t size = 17;
    for (Parameter& p : parts_)
      p = {std::string(1, "abc"[size++ - 17]), ParameterRole::weight, at::ones({20, 20})};
  }
  at::Tensor forward(const at::Tensor& x, const ForwardMode& mode) override {
    at::Tensor y = x.mm(parts_[0].value);
    return mode.dropout_seed % 2 == 1 ? y + x.mm(parts_[1].value) : y;
  }
  std::vector<Parameter*> parameters() override { return {&parts_[0], &parts_[1], &parts_[2]}; }

 private:
  Parameter parts_[3];
};

TEST(Exchange, ParametersWithoutAGradientAreSentToo) {
  for (const ExchangeOrder order : {ExchangeOrder::fast, ExchangeOrder::fixed}) {
    const EpochPlan epoch(6, 6, 2, 3);
    const StepPlan plan = epoch.step(0);
    const TrafficCounts before = traffic_counts();
    run_as_ranks(3, [&](Communicator& comm) {
      std::vector<std::unique_ptr<Unit>> units;
      units.push_back(std::make_unique<Choosy>());
      Student student(std::make_unique<Network>(small_spec(), std::move(units)), {}, 1, at::kCPU);
      GradientExchange exchange = exchange_of(comm, student, {order, true, 1024, false});
      for (int repeat = 0; repeat < 2; ++repeat) {
        exchange.begin(plan);
        ForwardMode mode;  // rank 1 alone uses b: its hooks run in an order of their own
        mode.dropout_seed = static_cast<uint64_t>(comm.rank());
        const at::Tensor y = student.network().forward(at::ones({1, 20}), mode);
        exchange.before_backward(true);
        y.sum().backward();
        // What lies in c's gradient now must arrive, although no hook has marked it.
        student.gradients().narrow(0, 800, 400).fill_(comm.rank() + 1);
        exchange.after_backward(comm.rank(), at::zeros({3}));
        exchange.finish(false, false, kMomentum);
        EXPECT_TRUE(at::equal(student.gradients().narrow(0, 0, 400), at::ones({400}) * 3));
        EXPECT_TRUE(at::equal(student.gradients().narrow(0, 400, 400), at::ones({400})));
        EXPECT_TRUE(at::equal(student.gradients().narrow(0, 800, 400), at::ones({400}) * 6));
      }
    });
    EXPECT_GT(traffic_counts()[static_cast<int>(Traffic::gradients)].bytes,
              before[static_cast<int>(Traffic::gradients)].bytes);
  }
}

TEST(Exchange, FlagsAreCountedAndAFailedStepLeavesTheStatistics) {
  const Images images(8);
  for (const ExchangeOrder order : {ExchangeOrder::fast, ExchangeOrder::fixed}) {
    const EpochPlan epoch(8, 8, 2, 4);
    run_as_ranks(4, [&](Communicator& comm) {
      at::set_num_threads(1);
      Student student = small_student(4);
      GradientExchange exchange = exchange_of(comm, student, {order, true, 4096, true});
      const StepPlan plan = epoch.step(0);
      exchange.begin(plan);
      const bool fails = comm.rank() == 2;
      const at::Tensor before = student.running().clone();
      if (!fails) {
        const Loss loss =
            backward(student, images, plan.micro_batches[static_cast<std::size_t>(comm.rank())], 8,
                     [&] { exchange.before_backward(true); });
        exchange.after_backward(comm.rank(), loss.sums);
      }
      const StepTotals totals = exchange.finish(fails, comm.rank() != 1, kMomentum);
      EXPECT_EQ(totals.failed, 1);
      EXPECT_EQ(totals.stops, 3);
      EXPECT_TRUE(same_bits(student.running(), before));
      // The next step is whole again.
      const StepTotals next = take_step(comm, student, exchange, images, plan);
      EXPECT_EQ(next.failed, 0);
      EXPECT_EQ(next.stops, 0);
      EXPECT_FALSE(same_bits(student.running(), before));
    });
  }
}

TEST(Exchange, FlagsOfRanksWithoutSamplesAndOfSeveralLeavesAreCountedOnce) {
  const Images images(8);
  // 3 leaves on 1 to 5 ranks: some have two, some none.
  for (const ExchangeOrder order : {ExchangeOrder::fast, ExchangeOrder::fixed}) {
    for (const int world : {1, 2, 4, 5}) {
      const EpochPlan epoch(8, 8, 3, world);
      run_as_ranks(world, [&](Communicator& comm) {
        at::set_num_threads(1);
        Student student = small_student(4);
        GradientExchange exchange = exchange_of(comm, student, {order, true, 4096, true});
        const StepPlan plan = epoch.step(0);
        for (int repeat = 0; repeat < 3; ++repeat) {
          take_step(comm, student, exchange, images, plan);
          exchange.begin(plan);  // and now no rank comes to a leaf
          const StepTotals totals = exchange.finish(comm.rank() % 2 == 0, true, kMomentum);
          EXPECT_EQ(totals.failed, (world + 1) / 2);
          EXPECT_EQ(totals.stops, world);
        }
      });
    }
  }
}

TEST(Exchange, StatisticsThatAreNotFiniteDoNotStay) {
  Images images(8);
  images.x[5][0][3][2] = NAN;
  const EpochPlan epoch(8, 4, 2, 2);
  for (const ExchangeOrder order : {ExchangeOrder::fast, ExchangeOrder::fixed}) {
    run_as_ranks(2, [&](Communicator& comm) {
      at::set_num_threads(1);
      Student student = small_student(4);
      GradientExchange exchange = exchange_of(comm, student, {order, false, 4096, true});
      take_step(comm, student, exchange, images, epoch.step(0));
      const at::Tensor before = student.running().clone();
      const StepTotals totals = take_step(comm, student, exchange, images, epoch.step(1));
      EXPECT_TRUE(std::isnan(totals.hard));
      EXPECT_TRUE(same_bits(student.running(), before));
    });
  }
}

TEST(Exchange, PointsAloneAreTheSumOfAllRanks) {
  const Images images(26);
  for (const Plan& p : kPlans) {
    const auto at_world = [&](int world, ExchangeOrder order) {
      const EpochPlan epoch(p.samples, p.global_batch, p.micro_batch, world);
      return run_epoch(world, images, epoch, {order, false, 1024, true, Travels::points});
    };
    const auto one = at_world(1, ExchangeOrder::fixed);
    EXPECT_GT(one[0].gradients.abs().max().item<double>(), 1e-3);
    for (const int world : {2, 3, 4}) {
      SCOPED_TRACE(testing::Message() << p.samples << "/" << p.global_batch << "/" << p.micro_batch
                                      << " on " << world);
      const auto fixed = at_world(world, ExchangeOrder::fixed);
      const auto fast = at_world(world, ExchangeOrder::fast);
      for (std::size_t s = 0; s < one.size(); ++s) {
        EXPECT_TRUE(same_bits(fixed[s].gradients, one[s].gradients));
        EXPECT_TRUE(same_bits(fixed[s].running, one[s].running));
        EXPECT_EQ(fixed[s].totals.soft, one[s].totals.soft);
        EXPECT_EQ(fixed[s].totals.correct, one[s].totals.correct);
        EXPECT_LT(largest_difference(fast[s].gradients, one[s].gradients), 1e-5);
        EXPECT_LT(largest_difference(fast[s].running, one[s].running), 1e-6);
        EXPECT_NEAR(fast[s].totals.soft, one[s].totals.soft, 1e-5);
        EXPECT_EQ(fast[s].totals.correct, one[s].totals.correct);
      }
    }
  }
}

Setting rounded(int64_t chunk_bytes, bool lane) {
  return {ExchangeOrder::fast, lane, chunk_bytes, true, Travels::weights, Codec::bf16};
}

TEST(Exchange, RoundedGradientsAreNearTheSumAndTheSumsExact) {
  const Images images(26);
  for (const int world : {1, 2, 3, 4}) {
    const EpochPlan epoch(26, 13, 0, world);
    const auto plain = run_epoch(world, images, epoch, {ExchangeOrder::fast, false, 1024, true});
    const auto near = run_epoch(world, images, epoch, rounded(1024, world % 2 == 0));
    for (std::size_t s = 0; s < near.size(); ++s) {
      at::Tensor bound = at::zeros_like(plain[s].gradients);
      for (const Leaf& leaf : leaves_of(images, epoch.step(static_cast<int64_t>(s)))) {
        bound += leaf.gradient.abs();
      }
      // Each value is rounded once, each sum of ranks again: 2^-8 of what lies there, each time.
      bound = bound * (world * 0x1p-8 * 1.05) + 1e-12;
      const at::Tensor error = (near[s].gradients - plain[s].gradients).abs();
      EXPECT_TRUE(error.le(bound).all().item<bool>()) << world;
      EXPECT_GT(error.max().item<double>(), 0) << world;
      EXPECT_TRUE(same_bits(near[s].running, plain[s].running)) << world;
      EXPECT_EQ(near[s].totals.soft, plain[s].totals.soft) << world;
      EXPECT_EQ(near[s].totals.correct, plain[s].totals.correct) << world;
    }
  }
}

TEST(Exchange, WhatIsNotFinitePassesRounding) {
  const EpochPlan epoch(6, 6, 2, 3);
  for (const float bad : {NAN, INFINITY, -INFINITY}) {
    run_as_ranks(3, [&](Communicator& comm) {
      Student student = small_student(4);
      GradientExchange exchange = exchange_of(comm, student, rounded(1024, true));
      exchange.begin(epoch.step(0));
      student.gradients().fill_(1);
      if (comm.rank() == 1) student.gradients()[7] = bad;
      exchange.finish(false, false, kMomentum);
      const float got = student.gradients()[7].item<float>();
      EXPECT_TRUE(std::isnan(bad) ? std::isnan(got) : got == bad) << bad << " became " << got;
      EXPECT_EQ(student.gradients()[8].item<float>(), 3);
    });
  }
}

/// Two flags, three sums and the statistics, which ride in a step's last message.
constexpr int64_t kSums = 5 + 2 * (3 + 5 + 9);

/// What all ranks send in an epoch, of a kind.
TrafficCount sent_in_epoch(int world, const Images& images, const EpochPlan& epoch,
                           const Setting& setting, Traffic kind = Traffic::gradients) {
  const auto k = static_cast<std::size_t>(kind);
  const TrafficCount before = traffic_counts()[k];
  run_epoch(world, images, epoch, setting);
  const TrafficCount after = traffic_counts()[k];
  return {after.bytes - before.bytes, after.messages - before.messages};
}

TEST(Exchange, MessagesAreThePlansChunksAndNoMore) {
  const Images images(12);
  const Student student = small_student(4);
  std::vector<Range> ranges;
  int64_t elements = 0;
  for (const Segment& segment : student.segments()) {
    ranges.push_back({segment.offset, segment.count});
    elements = (segment.offset + segment.count + 15) / 16 * 16;
  }
  const EpochPlan epoch(12, 6, 2, 3), with_leafless(10, 5, 2, 4);  // 2 steps
  for (const int64_t chunk_bytes : {512, 1024, 1 << 20}) {
    const auto chunks = static_cast<int64_t>(plan_chunks(elements, ranges, chunk_bytes).size());
    EXPECT_EQ(chunks > 1, chunk_bytes < 1 << 20);
    for (const bool lane : {false, true}) {
      // 3 ranks. Fixed order: two additions across ranks and a broadcast, each one message.
      for (const ExchangeOrder order : {ExchangeOrder::fast, ExchangeOrder::fixed}) {
        const TrafficCount sent = sent_in_epoch(3, images, epoch, {order, lane, chunk_bytes, true});
        EXPECT_EQ(sent.bytes, 3 * 2 * 4 * (elements + kSums)) << order;
        EXPECT_EQ(sent.messages, 3 * 2 * chunks) << order;
      }
    }
    // 2 leaves on 4 ranks: an addition and a broadcast a chunk, and the flags of two ranks.
    const TrafficCount sent =
        sent_in_epoch(4, images, with_leafless, {ExchangeOrder::fixed, true, chunk_bytes, true});
    EXPECT_EQ(sent.bytes, 2 * 2 * 4 * (elements + kSums) + 2 * 2 * 2 * 4);
    EXPECT_EQ(sent.messages, 2 * 2 * chunks + 2 * 2);
    // Rounded: half the bytes, and the sums in a message of their own.
    const TrafficCount half = sent_in_epoch(3, images, epoch, rounded(chunk_bytes, true));
    EXPECT_EQ(half.bytes, 3 * 2 * (2 * elements + 4 * kSums));
    EXPECT_EQ(half.messages, 3 * 2 * (chunks + 1));
  }
}

TEST(Exchange, PointsAloneAreOneMessageAStep) {
  const Images images(12);
  const EpochPlan epoch(12, 6, 2, 3);
  for (const ExchangeOrder order : {ExchangeOrder::fast, ExchangeOrder::fixed}) {
    const Setting setting{order, true, 1024, true, Travels::points};
    const int64_t points = student_of(setting).learned_gradients().numel();
    EXPECT_GT(points, 0);
    const TrafficCount sent = sent_in_epoch(3, images, epoch, setting, Traffic::points);
    EXPECT_EQ(sent.bytes, 3 * 2 * 4 * (points + kSums)) << order;
    EXPECT_EQ(sent.messages, 3 * 2) << order;
    EXPECT_EQ(sent_in_epoch(3, images, epoch, setting, Traffic::gradients).messages, 0) << order;
  }
}

}  // namespace
}  // namespace bitstill
