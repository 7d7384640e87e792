// Under mpirun: the walk of a step, which simulations are made of, against the trainer's own step.
// Both have to make the same calls of the same communicators, each after the same computation.
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <tuple>

#include "../../src/bench/step_profile.hpp"
#include "../base/scratch_folder.hpp"
#include "../train/random_shards.hpp"
#include "bitstill/model/unit_pieces.hpp"
#include "bitstill/scale/walk.hpp"
#include "bitstill/teacher/gathered.hpp"
#include "bitstill/train/assemble.hpp"
#include "bitstill/train/run_records.hpp"
#include "rank_main.hpp"
#include "recorded_world.hpp"

namespace bitstill {
namespace {

constexpr int64_t kMicroBatch = 4, kSteps = 3, kChunkBytes = 1024;

NetworkSpec wider(std::vector<int64_t> widths, std::vector<int64_t> hidden) {
  NetworkSpec spec = small_spec();
  spec.widths = std::move(widths);
  spec.hidden = std::move(hidden);
  spec.dropout = {0};
  return spec;
}

std::unique_ptr<Network> initialized(const NetworkSpec& spec) {
  auto network = make_network(spec);
  initialize(*network, 7);
  return network;
}

class MarkedUnit final : public Unit {
 public:
  MarkedUnit(std::shared_ptr<Network> whole, std::size_t index, Record& record)
      : whole_(std::move(whole)), index_(index), record_(record) {}
  std::vector<Parameter*> parameters() override { return unit().parameters(); }
  std::vector<Buffer*> buffers() override { return unit().buffers(); }
  at::Tensor forward(const at::Tensor& x, const ForwardMode& mode) override {
    if (index_ == 0) record_.push_back("forward");
    at::Tensor y = unit().forward(x, mode);
    y.register_hook([this](const at::Tensor&) { record_.push_back(concat("backward ", index_)); });
    return y;
  }

 private:
  Unit& unit() { return *whole_->units()[index_]; }
  std::shared_ptr<Network> whole_;
  std::size_t index_;
  Record& record_;
};

class MarkedPieces final : public Piecewise {
 public:
  MarkedPieces(std::unique_ptr<Piecewise> pieces, Record& record)
      : pieces_(std::move(pieces)), record_(record) {}
  std::span<const Piece> pieces() const override { return pieces_->pieces(); }
  void read(std::size_t piece, TensorSource& source, void* plain) const override {
    pieces_->read(piece, source, plain);
  }
  PassState begin(const at::Tensor& x) const override { return pieces_->begin(x); }
  void run(std::size_t piece, const void* plain, std::span<PassState> states) const override {
    record_.push_back(concat("piece ", piece));
    pieces_->run(piece, plain, states);
  }
  PassResult finish(PassState&& state) const override { return pieces_->finish(std::move(state)); }

 private:
  std::unique_ptr<Piecewise> pieces_;
  Record& record_;
};

std::unique_ptr<Network> student_network(Record& record) {
  const std::shared_ptr<Network> whole = initialized(wider({3, 5, 12}, {20, 9}));
  std::vector<std::unique_ptr<Unit>> units;
  for (std::size_t u = 0; u < whole->units().size(); ++u) {
    units.push_back(std::make_unique<MarkedUnit>(whole, u, record));
  }
  return std::make_unique<Network>(whole->spec(), std::move(units));
}

std::unique_ptr<Teacher> make_teacher(World& world, Sharding sharding, int64_t passes,
                                      Record& record) {
  const NetworkSpec spec = wider({8, 8}, {30, 20});
  auto network = initialized(spec);
  if (sharding == Sharding::replicated) return make_replicated_teacher(std::move(network), false);
  auto pieces = std::make_unique<MarkedPieces>(
      make_unit_pieces(make_skeleton(spec, kMostParameters), false, at::kCPU), record);
  TeacherLayout layout;
  layout.sharding = sharding;
  layout.group = std::max(world.place().world / 2, 1);  // of hybrid
  int64_t all = 0, largest = 0;
  for (const Piece& piece : pieces->pieces()) {
    all += piece.plain_bytes;
    largest = std::max(largest, piece.plain_bytes);
  }
  layout.window = (all + largest) / 2;  // some pieces ahead, not all
  NetworkSource source(*network);
  return make_gathered_teacher(world, std::move(pieces), source, {spec.normalization}, layout,
                               Overlap::automatic, {at::zeros({kMicroBatch, 2, 7, 6}), passes});
}

struct Steps {
  Record record;  // of this rank
  TrafficCounts sent;
  StepProfile profile;
};

using Case = std::tuple<ExchangeOrder, Sharding, int64_t>;  // micro-batches of a rank

Steps train(const Case& job) {
  const auto [order, sharding, passes] = job;
  Steps steps;
  RecordedWorld world(rank_world(), steps.record);
  const Place& place = world.place();
  TrainingOptions options;
  options.train.global_batch = kMicroBatch * passes * place.world;
  options.train.micro_batch = kMicroBatch;
  options.exchange.order = order;
  options.exchange.chunk_bytes = kChunkBytes;
  options.quant = uniform(4, 16);
  const ScratchFolder folder;
  const int64_t rows = kSteps * options.train.global_batch;
  write_random_shards(folder.path(), rows);
  const Dataset dataset(folder.path());
  const auto teacher = make_teacher(world, sharding, passes, steps.record);
  Student student(student_network(steps.record), options.quant, 1, at::kCPU);
  Watchdog watchdog(rank_world(), 0);
  TrainingParts parts(world, watchdog, dataset, student, teacher.get(), options, at::kCPU,
                      [] { return StepWishes{}; });
  const EpochPlan plan(rows, options.train.global_batch, kMicroBatch, place.world);
  Prefetcher batches(dataset, Split::train, rank_batches(plan, place.rank, false, 0),
                     dataset.decoder(), 2);
  steps.record.clear();  // of what was measured
  const TrafficCounts before = traffic_counts();
  for (int64_t step = 0; step < kSteps; ++step) {
    EXPECT_TRUE(parts.step.run(step, plan.step(step), batches, 0.05).updated);
    steps.record.push_back("update");
  }
  teacher->settle();
  steps.sent = traffic_since(before);
  steps.profile = profile_of(student, parts.exchange, options.exchange, teacher.get(), passes);
  return steps;
}

/// Writes down what would be computed, known by how long it takes.
class MarkingClock final : public StepClock {
 public:
  MarkingClock(StepProfile* profile, Record& record) : record_(record) {
    const auto call = [this](const std::string& name, double* seconds) {
      *seconds = static_cast<double>(names_.size() + 1);
      names_[*seconds] = name;
    };
    call("forward", &profile->pass_s);  // the units' own forward passes take none
    call("update", &profile->update_s);
    for (std::size_t u = 0; u < profile->units.size(); ++u) {
      call(concat("backward ", u), &profile->units[u].backward_s);
    }
    for (std::size_t piece = 0; piece < profile->slices.pieces.size(); ++piece) {
      call(concat("piece ", piece), &profile->slices.pieces[piece].seconds);
    }
  }
  void compute(double seconds) override {
    if (seconds > 0) record_.push_back(names_.at(seconds));
  }

 private:
  std::map<double, std::string> names_;
  Record& record_;
};

Steps walk(StepProfile profile) {
  Steps steps;
  MarkingClock clock(&profile, steps.record);
  RecordedWorld world(rank_world(), steps.record);
  const Place& place = world.place();
  const auto gradients = make_inline_channel(world.control().duplicate(Traffic::gradients));
  std::unique_ptr<Channel> gathers;
  if (profile.group > 0) {
    const auto color = static_cast<int>(place.rank / profile.group);
    gathers = make_inline_channel(world.control().split(color, place.rank, Traffic::gathers));
  }
  WalkMemory memory(profile, place.world);
  StepWalk walk(profile, place.rank, place.world, *gradients, gathers.get(), clock, memory);
  const TrafficCounts before = traffic_counts();
  for (int64_t step = 0; step < kSteps; ++step) walk.step();
  walk.settle();
  steps.sent = traffic_since(before);
  return steps;
}

/// How often a line that begins so stands in the record, before the first line `end`.
int64_t count(const Record& record, const std::string& begin, const std::string& end = "") {
  return std::count_if(record.begin(), std::find(record.begin(), record.end(), end),
                       [&](const std::string& line) { return line.rfind(begin, 0) == 0; });
}

/// Chunks join units and cut them, so that it matters when each of them leaves.
void expect_chunks_across_units(const StepProfile& profile) {
  const auto plan = plan_chunks(profile.elements, profile.segments(), profile.chunk_bytes);
  int64_t joined = 0, cut = 0;
  const auto meet = [](const Range& chunk, const UnitProfile& unit) {
    return std::any_of(unit.gradients.begin(), unit.gradients.end(), [&](const Range& range) {
      return range.offset < chunk.end() && chunk.offset < range.end();
    });
  };
  for (const Range& chunk : plan) {
    joined += std::count_if(profile.units.begin(), profile.units.end(),
                            [&](const UnitProfile& unit) { return meet(chunk, unit); }) > 1;
  }
  for (const UnitProfile& unit : profile.units) {
    cut += std::count_if(plan.begin(), plan.end(),
                         [&](const Range& chunk) { return meet(chunk, unit); }) > 1;
  }
  EXPECT_GE(joined, 2);
  EXPECT_GE(cut, 2);
}

class WalkTest : public testing::TestWithParam<Case> {};

TEST_P(WalkTest, MakesTheCallsOfTheTrainersSteps) {
  const auto [order, sharding, passes] = GetParam();
  const Steps trained = train(GetParam());
  const Steps walked = walk(trained.profile);
  const auto common = std::min(trained.record.size(), walked.record.size());
  for (std::size_t i = 0; i < common; ++i) {
    ASSERT_EQ(walked.record[i], trained.record[i])
        << "call " << i << ", after " << (i > 0 ? trained.record[i - 1] : "none");
  }
  EXPECT_EQ(walked.record.size(), trained.record.size());
  for (const Traffic kind : {Traffic::gradients, Traffic::gathers}) {
    const auto k = static_cast<std::size_t>(kind);
    EXPECT_EQ(walked.sent[k].bytes, trained.sent[k].bytes) << traffic_name(kind);
    EXPECT_EQ(walked.sent[k].messages, trained.sent[k].messages) << traffic_name(kind);
  }

  // That nothing of it is empty.
  const Record& record = trained.record;
  const StepProfile& profile = trained.profile;
  const auto units = static_cast<int64_t>(profile.units.size());
  const auto chunks = static_cast<int64_t>(
      plan_chunks(profile.elements, profile.segments(), profile.chunk_bytes).size());
  expect_chunks_across_units(profile);
  EXPECT_GE(units, 6);
  EXPECT_EQ(count(record, "backward "), kSteps * passes * units);
  EXPECT_EQ(count(record, "forward"), kSteps * passes);
  const bool alone = rank_world().place().world == 1;
  if (order == ExchangeOrder::fast) {
    EXPECT_EQ(count(record, "gradients all_reduce"), kSteps * chunks);
    EXPECT_GT(count(record, "gradients", "update"), 4);
    EXPECT_LT(count(record, "gradients", "backward 0"), chunks);
  } else if (!alone) {
    EXPECT_GE(count(record, "gradients send") + count(record, "gradients receive"),
              kSteps * chunks);
  }
  const auto pieces = static_cast<int64_t>(profile.slices.pieces.size());
  EXPECT_EQ(pieces > 0, sharding != Sharding::replicated);
  EXPECT_EQ(count(record, "piece "), kSteps * pieces);
  if (pieces == 0) return;
  EXPECT_GE(pieces, 5);
  EXPECT_GT(count(record, "gathers all_gather", "piece 0"), 1);      // ahead of their use
  EXPECT_GT(count(record, "gathers all_gather", "update"), pieces);  // and of the next step
}

INSTANTIATE_TEST_SUITE_P(
    All, WalkTest,
    testing::Combine(testing::Values(ExchangeOrder::fast, ExchangeOrder::fixed),
                     testing::Values(Sharding::replicated, Sharding::gather, Sharding::hybrid),
                     testing::Values<int64_t>(1, 3)),
    [](const auto& one) {
      return concat(word(std::get<0>(one.param)), "_", word(std::get<1>(one.param)), "_",
                    std::get<2>(one.param));
    });

}  // namespace
}  // namespace bitstill
