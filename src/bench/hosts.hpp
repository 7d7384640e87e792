// Rows of several hosts, which tests/bench/hosts.sh of the checkout brings up.
#pragma once

#include <vector>

#include "rows.hpp"

namespace bitstill {

/// What the script prints for row `id`; nothing, and row->skip says why, where there are no hosts.
std::vector<Json> lines_of_hosts(const char* id, const BenchOptions& options, Row* row);

}  // namespace bitstill
