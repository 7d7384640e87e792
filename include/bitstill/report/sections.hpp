// The larger sections of the pages.
#pragma once

#include <string>
#include <vector>

#include "bitstill/report/figures.hpp"
#include "bitstill/report/markup.hpp"
#include "bitstill/report/report.hpp"
#include "bitstill/report/summary.hpp"

namespace bitstill {

using Runs = std::vector<Run>;
using Summaries = std::vector<Summary>;

/// Losses, accuracies, rate, throughput and memory over epochs; summaries[i] belongs to runs[i].
std::string curves_section(const Runs& runs, const Summaries& summaries);

/// Figures below a legend that stays in sight; without entries there is none.
std::string figures_below_legend(const std::vector<LegendEntry>& entries,
                                 const std::string& figures);

/// Resolved settings and versions; of several runs those that differ stand first. labels[i] belongs
/// to runs[i].
std::string settings_section(const Runs& runs, const Cells& labels);

}  // namespace bitstill
