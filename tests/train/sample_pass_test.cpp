#include "bitstill/train/sample_pass.hpp"

#include <ATen/core/grad_mode.h>

#include <array>
#include <cmath>

#include "../base/scratch_folder.hpp"
#include "bitstill/comm/agree.hpp"
#include "bitstill/comm/thread_world.hpp"
#include "bitstill/data/sampler.hpp"
#include "bitstill/model/input.hpp"
#include "bitstill/train/loss.hpp"
#include "bitstill/train/redistribute.hpp"
#include "bitstill/train/ship.hpp"
#include "random_shards.hpp"

namespace bitstill {
namespace {

constexpr int64_t kRows = 50;

class SamplePassTest : public testing::Test {
 protected:
  SamplePassTest() {
    write_random_shards(folder_.path() + "/shards", kRows);
    dataset_ = std::make_unique<Dataset>(folder_.path() + "/shards");
  }

  /// The micro-batch of these rows of the pass's order.
  Batch batch_of(const MicroBatch& micro) const {
    const std::vector<int64_t> order = epoch_order(kRows, 0, 0);
    return read_batch(*dataset_, Split::train,
                      {order.begin() + micro.first, order.begin() + micro.first + micro.count});
  }

  at::Tensor input(const Batch& batch) const {
    return to_input(batch, small_spec().input, small_spec().normalization, at::kCPU, true);
  }

  ScratchFolder folder_;
  std::unique_ptr<Dataset> dataset_;
};

TrainOptions options(int64_t batches, int64_t batch, int64_t micro_batch) {
  TrainOptions train;
  train.reestimate_batches = batches;
  train.global_batch = batch;
  train.micro_batch = micro_batch;
  return train;
}

/// 33 samples: micro-batches of 4 and a single one, which joins its neighbour.
const TrainOptions kUneven = options(3, 11, 4);

ForwardMode training_mode() {
  ForwardMode mode;
  mode.training = true;
  mode.dropout = false;
  return mode;
}

TEST(PlanPass, TakesWholeBatchesInMicroBatchesThatNoWorldSizeChanges) {
  for (const int world : {1, 2, 3, 4}) {
    EXPECT_EQ(plan_pass({3, 11, 4}, kRows, world).terms, 33);
    EXPECT_EQ(plan_pass({3, 11, 4}, kRows, world).micro_batches.size(), 8u);
    EXPECT_EQ(plan_pass({9, 20, 0}, kRows, world).terms, 40);  // a half batch stays away
    EXPECT_EQ(plan_pass({9, 20, 0}, kRows, world).micro_batches.size(), 2u);
    EXPECT_EQ(plan_pass({2, 256, 0}, 1000, world).micro_batches.size(), 8u);
    EXPECT_EQ(plan_pass({2, 256, 0}, kRows, world).terms, kRows);
  }
  EXPECT_EQ(plan_pass({3, 11, 4}, kRows, 4).owner_first, (std::vector<int64_t>{0, 2, 4, 6, 8}));
  EXPECT_THROW(plan_pass({3, 11, 4}, 1, 2), Error);
  EXPECT_THROW(plan_pass({3, 11, 4}, 0, 2), Error);
}

TEST_F(SamplePassTest, ReestimatedStatisticsHaveTheSameBitsAtEveryNumberOfRanks) {
  at::Tensor first;
  for (const int world : {1, 2, 3, 4, 9}) {  // 8 micro-batches: the ninth rank has none
    std::vector<at::Tensor> running(static_cast<std::size_t>(world));
    std::vector<int> passes(running.size(), 0), waits(running.size(), 0);
    run_as_ranks(world, [&](Communicator& comm) {
      at::set_num_threads(1);
      const auto r = static_cast<std::size_t>(comm.rank());
      Student student = small_student(3, uniform(2, 16));
      EvaluateOptions evaluate;
      evaluate.progress = [&](bool waiting) { ++(waiting ? waits : passes)[r]; };
      reestimate_batch_norm(student, *dataset_, kUneven, evaluate, comm);
      running[r] = student.running();
    });
    if (world == 1) first = running[0];
    for (const at::Tensor& other : running) EXPECT_TRUE(same_bits(other, first)) << world;
    // Each micro-batch is one rank's alone, and the ranks' parts are even.
    for (std::size_t r = 0; r < running.size(); ++r) {
      EXPECT_EQ(passes[r], static_cast<int>(8 * (r + 1) / running.size() - 8 * r / running.size()));
      EXPECT_EQ(waits[r], 1);
    }
  }
}

TEST_F(SamplePassTest, ReestimatedStatisticsAreTheMeanOverMicroBatches) {
  const at::NoGradGuard no_grad;
  at::set_num_threads(1);
  Student student = small_student(3, uniform(2, 16));
  at::Tensor mean = at::zeros_like(student.running(), at::kDouble);
  for (const MicroBatch& micro : plan_pass({3, 11, 4}, kRows, 1).micro_batches) {
    student.network().forward(input(batch_of(micro)), training_mode());
    mean.add_(student.statistics().to(at::kDouble), static_cast<double>(micro.count) / 33);
  }
  run_as_ranks(
      1, [&](Communicator& comm) { reestimate_batch_norm(student, *dataset_, kUneven, {}, comm); });
  EXPECT_LT(largest_difference(student.running(), mean), 1e-6);
  EXPECT_GT(mean.abs().max().item<double>(), 0.1);
}

TEST_F(SamplePassTest, GradientNormsHaveTheSameBitsAtEveryNumberOfRanks) {
  std::vector<double> first;
  for (const int world : {1, 2, 3, 4}) {
    std::vector<std::vector<double>> norms(static_cast<std::size_t>(world));
    std::vector<int> passes(norms.size(), 0);
    run_as_ranks(world, [&](Communicator& comm) {
      at::set_num_threads(1);
      const auto r = static_cast<std::size_t>(comm.rank());
      const auto network = small_network(3);
      EvaluateOptions evaluate;
      evaluate.progress = [&](bool waiting) { passes[r] += waiting ? 0 : 1; };
      norms[r] = gradient_norms(*network, *dataset_, options(0, 10, 3), evaluate, comm);
      EXPECT_FALSE(network->parameters()[0]->value.grad().defined());
    });
    if (world == 1) first = norms[0];
    for (const auto& other : norms) EXPECT_EQ(other, first) << world;
    EXPECT_EQ(std::accumulate(passes.begin(), passes.end(), 0), 17);  // 50 samples in threes
    EXPECT_EQ(*std::max_element(passes.begin(), passes.end()), (17 + world - 1) / world);
  }
}

TEST_F(SamplePassTest, GradientNormsAreThoseOfTheMeanOverMicroBatches) {
  at::set_num_threads(1);
  const auto network = small_network(3);
  network->set_trainable(true);
  for (const MicroBatch& micro : plan_pass({5, 10, 3}, kRows, 1).micro_batches) {
    const Batch batch = batch_of(micro);
    const at::Tensor logits = network->forward(input(batch), training_mode());
    logits.backward(
        distillation_loss(logits.detach(), {}, to_labels(batch, at::kCPU), {}, kRows).gradient);
  }
  std::vector<double> expected;
  for (const Parameter* parameter : network->parameters()) {
    expected.push_back(parameter->value.grad().norm().item<double>());
    parameter->value.mutable_grad().reset();
  }
  run_as_ranks(1, [&](Communicator& comm) {
    const std::vector<double> norms =
        gradient_norms(*network, *dataset_, options(0, 10, 3), {}, comm);
    ASSERT_EQ(norms.size(), expected.size());
    for (std::size_t i = 0; i < norms.size(); ++i) {
      EXPECT_NEAR(norms[i], expected[i], 1e-5 * expected[i] + 1e-9);
    }
  });
}

TEST_F(SamplePassTest, ARankThatFailsEndsAllAlike) {
  run_as_ranks(3, [&](Communicator& comm) {
    const auto value = [&](const Batch&, int64_t) -> at::Tensor {
      if (comm.rank() == 2) throw Error(ExitCode::data, "a row is damaged");
      return at::zeros({1});
    };
    EXPECT_EQ(error_of(ExitCode::data,
                       [&] {
                         sum_over_pass(*dataset_, {3, 11, 4}, 1, value, {}, comm);
                       }),
              "rank 2: a row is damaged");
  });
}

}  // namespace
}  // namespace bitstill
