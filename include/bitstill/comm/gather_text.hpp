// What ranks have to say, in one place.
#pragma once

#include <string>
#include <vector>

#include "bitstill/comm/communicator.hpp"

namespace bitstill {

/// On rank 0 every rank's text, of any length, in the order of ranks; elsewhere nothing.
/// Collective: every rank of comm calls this.
std::vector<std::string> gather_text(Communicator& comm, std::string mine);

}  // namespace bitstill
