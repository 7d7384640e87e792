#include "bitstill/base/error.hpp"

#include <gtest/gtest.h>

#include <cerrno>
#include <string>
#include <utility>

namespace bitstill {
namespace {

TEST(Error, IsOneLineWhateverNamesItCarries) {
  const Error error(ExitCode::model, "tensor a\nb\r\nc has no type");
  EXPECT_STREQ(error.what(), R"(tensor a\nb\r\nc has no type)");
  EXPECT_EQ(error.code(), ExitCode::model);
}

TEST(Error, OfTooManyFilesIsTheEnvironments) {
  for (const auto& [reason, code] :
       {std::pair(ENOSPC, ExitCode::storage), std::pair(EMFILE, ExitCode::environment),
        std::pair(ENFILE, ExitCode::environment)}) {
    try {
      throw_system_error(ExitCode::storage, "a/b", "open", reason);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), code);
      EXPECT_EQ(std::string(error.what()).rfind("a/b: cannot open: ", 0), 0u) << error.what();
    }
  }
}

}  // namespace
}  // namespace bitstill
