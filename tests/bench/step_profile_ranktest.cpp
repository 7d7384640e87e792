// Under mpirun: the profile that bench step writes of a student whose teacher lies in slices.
#include <c10/core/Device.h>
#include <gtest/gtest.h>

#include "../../src/bench/step_profile.hpp"
#include "../base/scratch_folder.hpp"
#include "bitstill/bench/step.hpp"
#include "bitstill/comm/agree.hpp"
#include "rank_main.hpp"

namespace bitstill {
namespace {

constexpr double kEmulate_ms = 40;

BenchStepOptions options(const std::string& profile) {
  BenchStepOptions options;
  options.student = options.teacher = "student3";
  options.layout.sharding = Sharding::gather;
  options.batch = 2;
  options.warmup = 3;
  options.steps = 1;
  options.emulate = kEmulate_ms;
  options.profile = profile;
  return options;
}

void bench(const BenchStepOptions& options) {
  bench_step(rank_world(), options, at::kCPU, [](std::unique_ptr<Network> network, const Dataset&) {
    return make_replicated_teacher(std::move(network), false);
  });
}

TEST(StepProfile, OfATeacherInSlicesHasItsPieces) {
  const ScratchFolder folder;  // rank 0 writes into its own
  const std::string path = folder / "profile.json";
  bench(options(path));
  const Place& place = rank_world().place();
  if (place.rank > 0) return;
  const StepProfile profile = read_profile(path);
  EXPECT_EQ(profile.group, place.world > 1 ? place.world : 0);
  if (profile.group == 0) {
    EXPECT_GE(profile.pass_s, 0.0005 * kEmulate_ms);
    return;
  }
  EXPECT_GE(profile.slices.pieces.size(), 3u);
  double seconds = 0;
  for (const GatherPiece& piece : profile.slices.pieces) {
    EXPECT_GT(piece.slice_bytes, 0);
    seconds += piece.seconds;
  }
  EXPECT_GE(seconds, 0.95 * 0.0005 * kEmulate_ms);  // half of the backward pass
  EXPECT_GE(profile.slices.window, least_window(profile.slices.pieces));
}

TEST(StepProfile, OfATeacherInSlicesNeedsMeasuredPiecesAndTheLastWindow) {
  if (rank_world().place().world == 1) return;
  const ScratchFolder folder;
  for (const char* setting : {"overlap", "warmup"}) {
    BenchStepOptions refused = options(folder / "profile.json");
    if (setting == std::string("overlap")) {
      refused.gathers = Overlap::off;
    } else {
      refused.warmup = 2;
    }
    try {
      bench(refused);
      ADD_FAILURE() << "nothing was thrown";
    } catch (const AgreedError& error) {
      EXPECT_EQ(error.code(), ExitCode::settings);
      EXPECT_NE(std::string(error.what()).find(setting), std::string::npos) << error.what();
    }
  }
}

TEST(StepProfile, CountsATeachersTimeOnce) {
  UnitSeconds units;
  units.restart(1);
  PhaseSeconds phases;
  phases.data = 2;
  phases.forward = 4;
  phases.backward = 6;
  phases.teacher = 16;
  phases.quantize = 8;
  for (const int64_t group : {0, 4}) {
    StepProfile profile;
    profile.units.resize(1);
    profile.micro_batches = 2;
    profile.group = group;
    profile.slices.pieces = {{64, 256, 0.1}, {64, 256, 0.3}};
    set_seconds({4, {}, phases, 8, units}, &profile);
    EXPECT_EQ(profile.begin_s, 2);
    EXPECT_EQ(profile.units[0].backward_s, 0.75);
    EXPECT_EQ(profile.pass_s, group == 0 ? 2.75 : 0.75);
    if (group == 0) continue;
    EXPECT_NEAR(profile.slices.pieces[0].seconds, 0.5, 1e-12);  // of 2 that were no waiting
    EXPECT_NEAR(profile.slices.pieces[1].seconds, 1.5, 1e-12);
  }
}

}  // namespace
}  // namespace bitstill
