#include "bitstill/comm/gather_text.hpp"

#include <gtest/gtest.h>

#include "bitstill/comm/solo.hpp"
#include "bitstill/comm/thread_world.hpp"

namespace bitstill {
namespace {

TEST(GatherText, HasEachRanksTextInTheirOrder) {
  for (const int world : {2, 3, 5, 8, 13}) {
    run_as_ranks(world, [&](Communicator& comm) {
      const auto length = static_cast<std::size_t>(comm.rank() * 1000);  // rank 0: nothing
      const auto texts = gather_text(comm, std::string(length, static_cast<char>(comm.rank())));
      ASSERT_EQ(texts.size(), comm.rank() == 0 ? static_cast<std::size_t>(world) : 0U);
      for (std::size_t r = 0; r < texts.size(); ++r) {
        EXPECT_EQ(texts[r], std::string(r * 1000, static_cast<char>(r)));
      }
    });
  }
  const auto alone = make_solo_communicator(Traffic::control);
  EXPECT_EQ(gather_text(*alone, "x"), std::vector<std::string>{"x"});
}

}  // namespace
}  // namespace bitstill
