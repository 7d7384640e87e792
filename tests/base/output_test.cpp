#include "bitstill/base/output.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>

#include "bitstill/base/error.hpp"

namespace bitstill {
namespace {

/// Ends the process as a program that prints `count` bytes into `file` does.
[[noreturn]] void print_into(const char* file, std::size_t count) {
  std::fflush(stdout);  // what the test program itself has printed
  const int number = open(file, O_WRONLY);
  dup2(number, STDOUT_FILENO);
  const std::string text(count, 'x');
  std::fwrite(text.data(), 1, text.size(), stdout);
  try {
    flush_output();
  } catch (const Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    std::_Exit(static_cast<int>(error.code()));
  }
  std::_Exit(0);
}

TEST(OutputDeathTest, TellsWhenItIsLost) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  const testing::ExitedWithCode lost(static_cast<int>(ExitCode::storage)), done(0);
  EXPECT_EXIT(print_into("/dev/full", 5), lost, "standard output is lost: No space left");
  EXPECT_EXIT(print_into("/dev/full", 1000000), lost, "standard output is lost");
  EXPECT_EXIT(print_into("/dev/full", 0), done, "");
  EXPECT_EXIT(print_into("/dev/null", 1000000), done, "");
}

/// Ends with 7 where printing into a closed standard output is noticed and no file received it.
[[noreturn]] void print_into_nothing() {
  close(STDIN_FILENO);
  close(STDOUT_FILENO);
  occupy_standard_streams();
  char name[] = "/tmp/bitstill.XXXXXX";
  const int file = mkstemp(name);
  unlink(name);
  std::printf("a result\n");
  int code = 0;
  try {
    flush_output();
  } catch (const Error& error) {
    code = static_cast<int>(error.code());
  }
  std::_Exit(file > STDERR_FILENO && lseek(file, 0, SEEK_END) == 0 ? code : 99);
}

TEST(OutputDeathTest, IsNeverPrintedIntoAFile) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  EXPECT_EXIT(print_into_nothing(), testing::ExitedWithCode(7), "");
}

}  // namespace
}  // namespace bitstill
