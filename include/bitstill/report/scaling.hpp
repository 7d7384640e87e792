// A scaling study's folder read back: what its points reached, and the page about them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "bitstill/base/json.hpp"
#include "bitstill/report/markup.hpp"
#include "bitstill/report/report.hpp"

namespace bitstill {

/// Over the repeats of a point.
struct Spread {
  double median = kMissing, low = kMissing, high = kMissing;
};

/// A number of nodes in one mode, measured.
struct ScalingRow {
  std::string mode;  // "weak", "strong"
  int64_t nodes = 0, ranks = 0, repeats = 0;
  int64_t batch = 0;  // of all ranks
  Spread images_per_s, step_ms;
  Spread efficiency;  // percent: images a second and node against the mode's smallest point
  Spread exchange_ms, gather_ms;  // that a step waits for sums, for pieces of the teacher
  Spread megabytes;               // that a rank hands to others in a step
  Spread memory_mb;               // the peak of rank 0
};

/// A number of nodes, weak scaling, simulated. It stands for no measurement.
struct SimulatedRow {
  int64_t nodes = 0, ranks = 0;
  double step_ms = kMissing, efficiency = kMissing;             // percent of no waiting
  double formula_ms = kMissing, formula_efficiency = kMissing;  // scale/formula.hpp
};

struct ScalingStudy {
  std::string folder, name;
  std::string unit = "images";          // or "target tokens": what is counted a second
  std::vector<ScalingRow> rows;         // by mode, weak first, then by nodes
  std::vector<SimulatedRow> simulated;  // by nodes
  std::vector<std::string> notes;       // what was refused or is missing, by name
};

/// Reads FOLDER/plan.json, the logs of its points and FOLDER/simulated.jsonl. Left out by name, in
/// notes: a point that has not run or not for long enough, on fewer hosts than nodes, that is
/// another one's copy, or whose recipe, build or processor is not that of the most points.
/// Error(data) without a plan.
ScalingStudy read_scaling(const std::string& folder);

/// What simulations leave out, in words, for wherever their figures stand.
std::string simulation_limits();

/// Cells of the measured and of the simulated points, the first row their names; empty without
/// points.
std::vector<Cells> measured_cells(const ScalingStudy& study);
std::vector<Cells> simulated_cells(const ScalingStudy& study);
/// How many of a table's columns are text.
constexpr std::size_t kMeasuredTextColumns = 1, kSimulatedTextColumns = 0;

/// The measured points, then the simulated ones, for a terminal.
std::string scaling_table(const ScalingStudy& study);
Json scaling_json(const ScalingStudy& study);
/// One self-contained HTML page: efficiency over nodes with the repeats' range, the simulation
/// (marked, with what it leaves out), the formula and the ideal; and the tables.
std::string scaling_page(const ScalingStudy& study);

}  // namespace bitstill
