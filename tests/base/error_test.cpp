#include "bitstill/base/error.hpp"

#include <gtest/gtest.h>

namespace bitstill {
namespace {

TEST(Error, IsOneLineWhateverNamesItCarries) {
  const Error error(ExitCode::model, "tensor a\nb\r\nc has no type");
  EXPECT_STREQ(error.what(), R"(tensor a\nb\r\nc has no type)");
  EXPECT_EQ(error.code(), ExitCode::model);
}

}  // namespace
}  // namespace bitstill
