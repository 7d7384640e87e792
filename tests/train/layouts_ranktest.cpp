// Under mpirun: masters after thirty steps do not depend on how the teacher lies, whole or in
// slices, nor on the number of ranks. Teacher and student have a tied weight and one that nothing
// reads; some ranks have no samples in an epoch's last step, whose last micro-batch is a single
// sample joined to its neighbour.
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include "../base/scratch_folder.hpp"
#include "bitstill/comm/solo.hpp"
#include "bitstill/model/blocks.hpp"
#include "bitstill/model/frozen_pieces.hpp"
#include "bitstill/model/program.hpp"
#include "bitstill/model/unit_pieces.hpp"
#include "bitstill/teacher/gathered.hpp"
#include "bitstill/train/assemble.hpp"
#include "bitstill/train/run_plan.hpp"
#include "random_shards.hpp"
#include "rank_main.hpp"

namespace bitstill {
namespace {

constexpr int64_t kRows = 37, kBatch = 16, kMicroBatch = 4, kEpochs = 10, kSteps = 3;

/// This rank without the others.
class Alone final : public World {
 public:
  const Place& place() const override { return place_; }
  Communicator& control() override { return *control_; }
  bool threads_allowed() const override { return true; }
  std::string library() const override { return "none"; }
  void fatal(ExitCode /*code*/, const std::string& message) override {
    throw std::runtime_error(message);
  }

 private:
  Place place_;
  std::unique_ptr<Communicator> control_ = make_solo_communicator(Traffic::control);
};

/// Has a weight, and passes on what it gets.
class Unread : public Unit {
 public:
  at::Tensor forward(const at::Tensor& x, const ForwardMode&) override { return x; }
  bool describe(Program&) const override { return true; }
  std::vector<Parameter*> parameters() override { return {&weight_}; }

 private:
  Parameter weight_{"unread", ParameterRole::weight, at::zeros({5, 3})};
};

/// Three convolutions, of which the last two share their weight, and two linear layers.
std::unique_ptr<Network> tied_network(int64_t width, int64_t hidden, uint64_t seed) {
  const NetworkSpec spec = small_spec();
  const int64_t pixels = spec.input.height * spec.input.width;
  std::vector<std::unique_ptr<Unit>> units;
  const auto convolution = [&](int64_t in, int64_t module) {
    units.push_back(std::make_unique<ConvolutionBlock>(
        ConvolutionBlock::Options{in, width, 3, false, module == 0}, module, 0));
  };
  const auto linear = [&](int64_t in, int64_t out, int64_t module, bool last) {
    units.push_back(
        std::make_unique<LinearBlock>(LinearBlock::Options{in, out, false, last}, module, 0));
  };
  convolution(spec.input.channels, 0);
  convolution(width, 3);
  convolution(width, 6);
  units[2]->parameters()[0]->value = units[1]->parameters()[0]->value;
  units.push_back(std::make_unique<Unread>());
  linear(width * pixels, hidden, 9, false);
  linear(hidden, spec.classes, 12, true);
  auto network = std::make_unique<Network>(spec, std::move(units));
  initialize(*network, seed);
  for (Buffer* buffer : network->buffers()) buffer->value.add_(0.3);
  return network;
}

std::unique_ptr<Network> teacher_network() {
  return tied_network(50, 300, 7);
}

struct Case {
  std::string name;
  bool compiled;
  InferencePrecision precision;
};

at::Tensor some_images(int64_t count) {
  at::manual_seed(9);
  return at::randn({count, 2, 7, 6});
}

/// Null where this processor lacks the instructions.
std::unique_ptr<Teacher> whole_teacher(const Case& one) {
  auto network = teacher_network();
  if (!one.compiled) return make_replicated_teacher(std::move(network), false);
  std::string obstacle;
  auto frozen = FrozenNetwork::make(*network, one.precision, some_images(64), &obstacle);
  return frozen ? make_frozen_teacher(std::move(frozen), small_spec().normalization) : nullptr;
}

std::unique_ptr<Teacher> sliced_teacher(const Case& one) {
  const auto network = teacher_network();
  NetworkSource source(*network);
  std::unique_ptr<Piecewise> pieces;
  if (one.compiled) {
    FrozenPieceOptions options{one.precision, 4096, {}};
    if (one.precision == InferencePrecision::int8) {
      options.scales = find_code_scales(*network, source, some_images(64));
    }
    std::string obstacle;
    pieces = make_frozen_pieces(*network, options, &source, &obstacle);
    EXPECT_TRUE(pieces) << obstacle;
  } else {
    pieces = make_unit_pieces(teacher_network(), false, at::kCPU);
  }
  return make_gathered_teacher(rank_world(), std::move(pieces), source,
                               {small_spec().normalization, one.precision, one.compiled}, {},
                               Overlap::automatic, {some_images(kMicroBatch), 1});
}

int64_t gathered_bytes() {
  return traffic_counts()[static_cast<std::size_t>(Traffic::gathers)].bytes;
}

at::Tensor masters_after(World& world, const Dataset& dataset, Teacher& teacher,
                         int64_t micro_batch) {
  const int rank = world.place().rank;
  TrainingOptions options;
  options.train.epochs = kEpochs;
  options.train.global_batch = kBatch;
  options.train.micro_batch = micro_batch;
  options.exchange.order = micro_batch > 0 ? ExchangeOrder::fixed : ExchangeOrder::fast;
  options.quant = uniform(4, 16);
  Student student(tied_network(3, 9, 5), options.quant, 1, at::kCPU);
  Watchdog watchdog(world, 0);
  TrainingParts parts(world, watchdog, dataset, student, &teacher, options, at::kCPU,
                      [] { return StepWishes{}; });
  const RunPlan run(kRows, options, world.place().world);
  parts.step.ends_at(kEpochs * kSteps - 1);
  for (int64_t epoch = 0; epoch < kEpochs; ++epoch) {
    const EpochPlan plan = run.epoch(epoch);
    EXPECT_EQ(plan.steps(), kSteps);
    Prefetcher batches(dataset, Split::train, rank_batches(plan, rank, false, epoch),
                       dataset.decoder(), 2);
    for (int64_t step = 0; step < kSteps; ++step) {
      EXPECT_TRUE(parts.step.run(epoch * kSteps + step, plan.step(step), batches, 0.05).updated);
    }
  }
  teacher.settle();
  student.check_views();
  return student.masters().clone();
}

class LayoutsTest : public testing::TestWithParam<Case> {};

TEST_P(LayoutsTest, ATeacherInSlicesLeavesTheSameMasters) {
  const ScratchFolder folder;  // each rank's own, with the same images
  write_random_shards(folder.path(), kRows);
  const Dataset dataset(folder.path());
  const auto whole = whole_teacher(GetParam());
  if (!whole) return;
  const auto sliced = sliced_teacher(GetParam());
  std::vector<int64_t> micro_batches = {kMicroBatch};
  if (GetParam().name == "fp32") micro_batches.push_back(0);  // one a rank
  for (const int64_t micro_batch : micro_batches) {
    const at::Tensor expected = masters_after(rank_world(), dataset, *whole, micro_batch);
    const int64_t before = gathered_bytes();
    const at::Tensor found = masters_after(rank_world(), dataset, *sliced, micro_batch);
    EXPECT_TRUE(same_bits(found, expected)) << "micro-batches of " << micro_batch;
    // Every step's sweep, and nothing ahead of one that does not come.
    if (rank_world().place().world > 1) {
      EXPECT_EQ(gathered_bytes() - before, kEpochs * kSteps * sliced->traits().slices->mine);
    }
    if (micro_batch == 0) continue;
    Alone alone;
    EXPECT_TRUE(same_bits(masters_after(alone, dataset, *whole, micro_batch), expected))
        << "one rank";
  }
}

INSTANTIATE_TEST_SUITE_P(All, LayoutsTest,
                         testing::Values(Case{"units", false, InferencePrecision::fp32},
                                         Case{"fp32", true, InferencePrecision::fp32},
                                         Case{"bf16", true, InferencePrecision::bf16},
                                         Case{"int8", true, InferencePrecision::int8}),
                         [](const auto& one) { return one.param.name; });

TEST(LayoutsTest, SomeRanksHaveNoSamplesInTheLastStep) {
  const int world = rank_world().place().world;
  const StepPlan plan = EpochPlan(kRows, kBatch, kMicroBatch, world).step(kSteps - 1);
  EXPECT_EQ(plan.terms, 5);  // 4 and 1
  EXPECT_EQ(plan.micro_batches.size(), 1u);
  EXPECT_EQ(plan.passes(0, false) == 0, world > 1);
}

}  // namespace
}  // namespace bitstill
