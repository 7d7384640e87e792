// Where this process stands among the ranks of a job.
#pragma once

#include <string>

namespace bitstill {

/// Rank and world of the whole job, and the same within this host.
struct Place {
  int rank = 0;
  int world = 1;
  int local_rank = 0;  // among the ranks of this host
  int local_world = 1;
  int first_on_host = 0;  // the lowest rank of this host
  std::string host;
};

}  // namespace bitstill
