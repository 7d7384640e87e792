// What tests expect of errors.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "bitstill/base/error.hpp"

namespace bitstill {

/// The message of the Error(code) that `work` must throw, which must be one line.
template <class Work>
std::string error_of(ExitCode code, const Work& work) {
  try {
    work();
  } catch (const Error& error) {
    EXPECT_EQ(static_cast<int>(error.code()), static_cast<int>(code)) << error.what();
    EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos) << error.what();
    return error.what();
  }
  ADD_FAILURE() << "nothing was thrown";
  return "";
}

inline testing::AssertionResult holds(const std::string& text, const std::string& part) {
  if (text.find(part) != std::string::npos) return testing::AssertionSuccess();
  return testing::AssertionFailure() << "\"" << text << "\" does not hold \"" << part << "\"";
}
#define EXPECT_HOLDS(text, part) EXPECT_TRUE(holds(text, part))

}  // namespace bitstill
