// The larger sections of the page; summaries[i] belongs to runs[i].
#pragma once

#include <string>
#include <vector>

#include "bitstill/report/report.hpp"
#include "bitstill/report/summary.hpp"

namespace bitstill {

using Runs = std::vector<Run>;
using Summaries = std::vector<Summary>;

/// Losses, accuracies, rate, throughput and memory over epochs.
std::string curves_section(const Runs& runs, const Summaries& summaries);

/// Resolved settings and versions; with several runs those that differ stand first.
std::string settings_section(const Runs& runs, const Summaries& summaries);

}  // namespace bitstill
