#include <cctype>
#include <cmath>

#include "bitstill/base/text.hpp"
#include "bitstill/report/scaling.hpp"

namespace bitstill {
namespace {

/// Three digits of what is small, all whole ones of what is not.
int decimals_of(double value) {
  const double size = std::abs(value);
  return size >= 100 ? 0 : size >= 10 ? 1 : 2;
}

std::string number_text(double value, int decimals) {
  return decimals == 0 ? grouped(value) : fixed(value, decimals);
}

std::string count_text(int64_t count) {
  return grouped(static_cast<double>(count));
}

std::string number_text(double value) {
  return number_text(value, decimals_of(value));
}

/// "10.4 (10.1 to 11.0)", all with as many decimals as the median; without repeats "10.4".
std::string spread_text(const ScalingRow& row, const Spread& spread, int decimals) {
  std::string median = number_text(spread.median, decimals);
  if (row.repeats < 2 || !std::isfinite(spread.low) || !std::isfinite(spread.high)) return median;
  return concat(median, " (", number_text(spread.low, decimals), " to ",
                number_text(spread.high, decimals), ")");
}

std::string spread_text(const ScalingRow& row, const Spread& spread) {
  return spread_text(row, spread, decimals_of(spread.median));
}

/// "Target tokens/s"
std::string rate_name(const ScalingStudy& study) {
  std::string name = study.unit + "/s";
  name[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(name[0])));
  return name;
}

}  // namespace

std::string simulation_limits() {
  return "Simulated, not measured; left out: other jobs, slow ranks, copies to and from devices, "
         "NCCL's protocols.";
}

std::vector<Cells> measured_cells(const ScalingStudy& study) {
  if (study.rows.empty()) return {};
  std::vector<Cells> table = {{"Mode", "Nodes", "Ranks", "Batch", "Repeats", rate_name(study),
                               "Efficiency, %", "Step, ms", "Waiting for sums, ms",
                               "Waiting for pieces, ms", "MB a rank and step", "Memory, MB"}};
  for (const ScalingRow& row : study.rows) {
    table.push_back({row.mode, count_text(row.nodes), count_text(row.ranks), count_text(row.batch),
                     count_text(row.repeats), spread_text(row, row.images_per_s),
                     spread_text(row, row.efficiency, 1), spread_text(row, row.step_ms),
                     spread_text(row, row.exchange_ms), spread_text(row, row.gather_ms),
                     spread_text(row, row.megabytes), spread_text(row, row.memory_mb)});
  }
  return table;
}

std::vector<Cells> simulated_cells(const ScalingStudy& study) {
  if (study.simulated.empty()) return {};
  std::vector<Cells> table = {{"Nodes", "Ranks", "Step, ms", "Efficiency, %", "By formula, ms",
                               "Efficiency by formula, %"}};
  for (const SimulatedRow& row : study.simulated) {
    table.push_back({count_text(row.nodes), count_text(row.ranks), number_text(row.step_ms),
                     fixed(row.efficiency, 1), number_text(row.formula_ms),
                     fixed(row.formula_efficiency, 1)});
  }
  return table;
}

std::string scaling_table(const ScalingStudy& study) {
  std::string text = text_table(measured_cells(study), kMeasuredTextColumns);
  if (study.simulated.empty()) return text;
  return concat(text, text.empty() ? "" : "\n",
                text_table(simulated_cells(study), kSimulatedTextColumns), simulation_limits(),
                "\n");
}

}  // namespace bitstill
