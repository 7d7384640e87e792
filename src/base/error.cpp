#include "bitstill/base/error.hpp"

#include "bitstill/base/text.hpp"

namespace bitstill {

Error::Error(ExitCode code, const std::string& message)
    : std::runtime_error(visible(message)), code_(code) {}

}  // namespace bitstill
