// The sums of all ranks: their order, their bits, the flags that ride with them.
#include "bitstill/train/exchange.hpp"

#include <ATen/ops/ones.h>

#include "exchange_fixture.hpp"

namespace bitstill {
namespace {

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
        exchange.begin(0, plan);
        ForwardMode mode;  // rank 1 alone uses b: its hooks run in an order of their own
        mode.dropout_seed = static_cast<uint64_t>(comm.rank());
        const at::Tensor y = student.network().forward(at::ones({1, 20}), mode);
        exchange.before_backward(true);
        y.sum().backward();
        // What lies in c's gradient now must arrive, although no hook has marked it.
        student.gradients().narrow(0, 800, 400).fill_(comm.rank() + 1);
        exchange.after_backward(comm.rank(), at::zeros({3}));
        exchange.finish(false, {}, kMomentum);
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
      exchange.begin(0, plan);
      const bool fails = comm.rank() == 2;
      const at::Tensor before = student.running().clone();
      if (!fails) {
        const Loss loss =
            backward(student, images, plan.micro_batches[static_cast<std::size_t>(comm.rank())], 8,
                     [&] { exchange.before_backward(true); });
        exchange.after_backward(comm.rank(), loss.sums);
      }
      const StepTotals totals =
          exchange.finish(fails, {.stop = comm.rank() != 1, .save = comm.rank() == 0}, kMomentum);
      EXPECT_EQ(totals.failed, 1);
      EXPECT_EQ(totals.stops, 3);
      EXPECT_EQ(totals.saves, 1);
      EXPECT_TRUE(same_bits(student.running(), before));
      // The next step is whole again.
      const StepTotals next = take_step(comm, student, exchange, images, plan);
      EXPECT_EQ(next.failed, 0);
      EXPECT_EQ(next.stops, 0);
      EXPECT_EQ(next.saves, 0);
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
          exchange.begin(0, plan);  // and now no rank comes to a leaf
          const StepTotals totals = exchange.finish(comm.rank() % 2 == 0, {true, true}, kMomentum);
          EXPECT_EQ(totals.failed, (world + 1) / 2);
          EXPECT_EQ(totals.stops, world);
          EXPECT_EQ(totals.saves, world);
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

}  // namespace
}  // namespace bitstill
