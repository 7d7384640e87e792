// The one exception type and the exit codes of the program.
#pragma once

#include <algorithm>
#include <stdexcept>
#include <string>
#include <utility>

namespace bitstill {

/// What the process tells its caller; each failure has exactly one of these.
enum class ExitCode {
  done = 0,
  settings = 2,     // command line or recipe
  data = 3,         // shards, images, labels
  model = 4,        // checkpoint or model file (bench: a target missed)
  peer = 5,         // another rank died or hangs
  numbers = 6,      // not finite
  storage = 7,      // cannot write
  environment = 8,  // a library, a device or the machine itself
  stopped = 75,     // by a signal, resumable
};

/// One clear line: what is wrong, where, and how to mend it. No trailing full stop or newline; line
/// breaks within it (in a name that a damaged file gives) become spaces.
class Error : public std::runtime_error {
 public:
  Error(ExitCode code, std::string message)
      : std::runtime_error(one_line(std::move(message))), code_(code) {}
  ExitCode code() const { return code_; }

 private:
  static std::string one_line(std::string text) {
    std::replace_if(
        text.begin(), text.end(), [](char c) { return c == '\n' || c == '\r'; }, ' ');
    return text;
  }

  ExitCode code_;
};

}  // namespace bitstill
