#include "bitstill/scale/formula.hpp"

#include <gtest/gtest.h>

#include "../base/thrown_error.hpp"
#include "bitstill/scale/simulation.hpp"
#include "profiles.hpp"

namespace bitstill {
namespace {

constexpr NetworkLink kLink{1e-3, 1000};

TEST(Formula, OfCollectives) {
  EXPECT_EQ(sum_seconds(SumAlgorithm::ring, 1, 100, kLink), 0);
  EXPECT_DOUBLE_EQ(sum_seconds(SumAlgorithm::ring, 4, 400, kLink), 6 * (1e-3 + 0.1));
  EXPECT_DOUBLE_EQ(sum_seconds(SumAlgorithm::halving, 4, 400, kLink), 4e-3 + 0.6);
  EXPECT_DOUBLE_EQ(gather_seconds(4, 50, kLink), 3 * (1e-3 + 0.05));
}

/// Two units of one chunk each.
StepProfile two_units(double first_s, double second_s) {
  StepProfile profile;
  profile.units = {{"a", 0, first_s, {{0, 256}}}, {"b", 0, second_s, {{256, 256}}}};
  profile.elements = 512;
  profile.chunk_bytes = 1024;
  return profile;
}

TEST(Formula, WaitsForTheLastChunk) {
  const double one = sum_seconds(SumAlgorithm::ring, 2, 1024, kLink);
  // The last unit's chunk has left before the first unit's is ready.
  StepTimes times = step_times(two_units(2 * one, 1), 2, kLink, SumAlgorithm::ring);
  EXPECT_DOUBLE_EQ(times.exposed_exchange_s, one);
  EXPECT_DOUBLE_EQ(times.compute_s, 2 * one + 1);
  EXPECT_DOUBLE_EQ(times.efficiency(), (2 * one + 1) / (3 * one + 1));
  // It has not: both wait, but for the time under the first unit.
  times = step_times(two_units(one / 4, 1), 2, kLink, SumAlgorithm::ring);
  EXPECT_DOUBLE_EQ(times.exposed_exchange_s, 2 * one - one / 4);
  EXPECT_EQ(step_times(two_units(1, 1), 1, kLink, SumAlgorithm::ring).exposed_exchange_s, 0);
}

TEST(Formula, HidesGathersUnderTheStep) {
  StepProfile profile = with_slices(some_profile(3, 100), 2);
  const NetworkLink fast{0, 1e12}, slow{0, 1e5};
  EXPECT_LT(step_times(profile, 2, fast, SumAlgorithm::ring).exposed_gather_s, 1e-6);
  EXPECT_GT(step_times(profile, 2, slow, SumAlgorithm::ring).exposed_gather_s, 1e-3);
  EXPECT_NEAR(step_times(profile, 2, fast, SumAlgorithm::ring).compute_s,
              profile.begin_s + profile.update_s + profile.pass_s + profile.forward_s() +
                  profile.backward_s() + 4e-3,
              1e-12);
}

TEST(Simulation, KeepsItsGroupsAndChunks) {
  const StepProfile profile = with_slices(some_profile(3, 100'000), 2);
  const Machine machine{Topology::flat, 4, 2, {2e-6, 12.5e9}};
  const StepProfile settled = settled_profile(profile, machine, SumAlgorithm::halving, 4, 0);
  EXPECT_EQ(settled.group, 4);
  EXPECT_EQ(settled.slices.pieces[0].slice_bytes, 320);
  EXPECT_EQ(settled.slices.pieces[0].plain_bytes, 1280);
  EXPECT_GE(settled.chunk_bytes, 1024);
  EXPECT_EQ(settled_profile(profile, machine, SumAlgorithm::ring, 0, 4096).chunk_bytes, 4096);
  EXPECT_HOLDS(error_of(ExitCode::settings,
                        [&] { settled_profile(profile, machine, SumAlgorithm::ring, 3, 0); }),
               "groups of 3");
}

TEST(Simulation, DescribesMachines) {
  const NetworkLink link{2e-6, 12.5e9};
  EXPECT_HOLDS(platform_xml({Topology::flat, 8, 1, link}, 64), "radical=\"0-7\"");
  EXPECT_HOLDS(platform_xml({Topology::fat_tree, 64, 1, link}, 64), "2;16,4;1,16;1,1");
  EXPECT_HOLDS(platform_xml({Topology::oversubscribed, 64, 1, link}, 64), "2;16,4;1,4;1,1");
  EXPECT_HOLDS(platform_xml({Topology::torus, 24, 1, link}, 64), "TORUS");
  EXPECT_HOLDS(platform_xml({Topology::dragonfly, 128, 1, link}, 64), "2,1;4,1;4,1;4");
  EXPECT_HOLDS(error_of(ExitCode::settings,
                        [&] {
                          platform_xml({Topology::fat_tree, 40, 1, link}, 64);
                        }),
               "multiple of 16");
  EXPECT_EQ(host_lines({Topology::flat, 2, 1, link}, 2), "node-0\nnode-0\nnode-1\nnode-1\n");
}

}  // namespace
}  // namespace bitstill
