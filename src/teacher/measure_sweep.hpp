// What a network's pieces and their gathers take, measured at start.
#pragma once

#include <cstdint>
#include <vector>

#include "bitstill/comm/channel.hpp"
#include "bitstill/comm/communicator.hpp"
#include "bitstill/comm/gather_plan.hpp"
#include "bitstill/model/piecewise.hpp"
#include "bitstill/teacher/gathered.hpp"

namespace bitstill {

/// Seconds that each piece takes on the slowest rank, over `passes` samples, of weights that are
/// all zero. Collective: every rank of comm calls this.
std::vector<double> piece_seconds(const Piecewise& network, const SweepSample& sample,
                                  int64_t passes, Communicator& comm);

/// What gathers of slices of so many bytes take over `channel`, whose `ranks` they come from; the
/// slowest rank's of comm. Collective: every rank of comm calls this.
GatherLink gather_link(const std::vector<int64_t>& slice_bytes, int64_t ranks, Channel& channel,
                       Communicator& comm, const at::Device& device);

}  // namespace bitstill
