#include "bitstill/base/error.hpp"

#include <cerrno>
#include <cstring>

#include "bitstill/base/text.hpp"

namespace bitstill {

Error::Error(ExitCode code, const std::string& message)
    : std::runtime_error(visible(message)), code_(code) {}

void throw_system_error(ExitCode code, const std::string& path, const std::string& what,
                        int reason) {
  const bool too_many = reason == EMFILE || reason == ENFILE;
  throw Error(too_many ? ExitCode::environment : code,
              concat(path, ": cannot ", what, ": ", std::strerror(reason),
                     too_many ? "; allow more of them (ulimit -n)" : ""));
}

}  // namespace bitstill
