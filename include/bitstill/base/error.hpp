// The one exception type and the exit codes of the program.
#pragma once

#include <stdexcept>
#include <string>

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
/// breaks and control characters within it (in a name that a damaged file gives) are escaped, as
/// visible() of text.hpp does.
class Error : public std::runtime_error {
 public:
  Error(ExitCode code, const std::string& message);
  ExitCode code() const { return code_; }

 private:
  ExitCode code_;
};

/// Error(code), "PATH: cannot WHAT: " and what the system says of `reason` (errno); environment
/// where no more files can be opened, whatever they were to be opened for.
[[noreturn]] void throw_system_error(ExitCode code, const std::string& path,
                                     const std::string& what, int reason);

}  // namespace bitstill
