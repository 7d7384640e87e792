#include "bitstill/comm/world.hpp"

#include <gtest/gtest.h>

#include "collectives.hpp"

namespace bitstill {
namespace {

TEST(World, WithoutMpirunIsThisProcessAlone) {
  const auto world = World::open();
  EXPECT_EQ(world->place().rank, 0);
  EXPECT_EQ(world->place().world, 1);
  EXPECT_EQ(world->place().local_world, 1);
  EXPECT_FALSE(world->place().host.empty());
  EXPECT_EQ(world->library(), "none (one process)");
  check_collectives(world->control());
}

TEST(World, OpensChannelsBySetting) {
  const auto world = World::open();
  for (const Overlap overlap : {Overlap::automatic, Overlap::on, Overlap::off}) {
    const auto channel = open_channel(*world, Traffic::gradients, overlap);
    float value = 3;
    channel->wait(channel->all_reduce(&value, 1, nullptr));
    EXPECT_EQ(value, 3);
  }
}

TEST(WorldDeathTest, FatalPrintsOneLineAndEndsWithTheCode) {
  const auto world = World::open();
  EXPECT_EXIT(world->fatal(ExitCode::numbers, "the loss is\nnot finite"),
              testing::ExitedWithCode(6), "^error: the loss is\\\\nnot finite\n$");
}

}  // namespace
}  // namespace bitstill
