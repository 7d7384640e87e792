// One rank alone: collectives are copies, nothing travels.
#pragma once

#include <memory>

#include "bitstill/comm/communicator.hpp"

namespace bitstill {

std::unique_ptr<Communicator> make_solo_communicator(Traffic kind);

}  // namespace bitstill
