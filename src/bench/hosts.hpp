// Measurements on several hosts, which a script of the checkout brings up.
#pragma once

#include <string>
#include <vector>

#include "rows.hpp"

namespace bitstill {

/// JSON lines of tests/bench/hosts.sh WHAT; none, with the reason in row.skip, where there is no
/// script beside the build or hosts cannot be made here.
std::vector<Json> lines_of_hosts(const std::string& what, const BenchOptions& options, Row& row);

}  // namespace bitstill
