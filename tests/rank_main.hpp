// What a rank test (tests/<module>/*_ranktest.cpp) finds: the one world of its process.
#pragma once

#include "bitstill/comm/world.hpp"

namespace bitstill {

/// The world under mpirun, opened by main and closed after the last test.
World& rank_world();

}  // namespace bitstill
