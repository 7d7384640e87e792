// main of the rank tests: every rank runs the same tests and prints only what fails, with its rank.
#include "rank_main.hpp"

#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>

namespace bitstill {
namespace {

std::unique_ptr<World> world;

class FailurePrinter final : public testing::EmptyTestEventListener {
  // Kept, since UnitTest must not be asked while it reports a failure: it holds its lock.
  void OnTestStart(const testing::TestInfo& test) override { test_ = &test; }
  void OnTestPartResult(const testing::TestPartResult& result) override {
    if (!result.failed()) return;
    std::fprintf(stderr, "[rank %d] %s.%s %s:%d\n%s\n", world->place().rank,
                 test_ ? test_->test_suite_name() : "", test_ ? test_->name() : "",
                 result.file_name() ? result.file_name() : "?", result.line_number(),
                 result.summary());
  }
  void OnTestProgramEnd(const testing::UnitTest& tests) override {
    if (world->place().rank == 0) {
      std::printf("%d of %d tests passed on rank 0 of %d\n", tests.successful_test_count(),
                  tests.test_to_run_count(), world->place().world);
    }
  }
  const testing::TestInfo* test_ = nullptr;
};

}  // namespace

World& rank_world() {
  return *world;
}

}  // namespace bitstill

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  bitstill::world = bitstill::World::open();
  testing::TestEventListeners& listeners = testing::UnitTest::GetInstance()->listeners();
  delete listeners.Release(listeners.default_result_printer());
  listeners.Append(new bitstill::FailurePrinter);
  int failed = RUN_ALL_TESTS();
  const char* no_skip = std::getenv("BITSTILL_NO_SKIP");
  if (no_skip != nullptr &&
      std::string(",").append(no_skip).append(",").find(",ranks,") != std::string::npos &&
      testing::UnitTest::GetInstance()->skipped_test_count() > 0) {
    std::fprintf(stderr, "tests were skipped, which BITSTILL_NO_SKIP forbids\n");
    failed = 1;
  }
  bitstill::world.reset();
  return failed;
}
