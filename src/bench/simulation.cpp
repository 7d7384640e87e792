// P6: simulated steps, against measured ones and the formula, and what large machines come to.
#include <algorithm>
#include <cmath>
#include <tuple>

#include "bitstill/base/text.hpp"
#include "bitstill/bench/process.hpp"
#include "bitstill/bench/simulate.hpp"
#include "scaling_points.hpp"
#include "temporary_folder.hpp"

namespace bitstill {
namespace {

// Of the emulated hosts, stated: TCP's payload in the shaped 200 Mbit/s, and a message's time
// there.
constexpr NetworkLink kHostLink = {1e-4, 200e6 / 8 * 1448 / 1514};
constexpr NetworkLink kFastLink = {2e-6, 100e9 / 8};
constexpr int64_t kSteps = 3;

/// The step of a point, its compute as it was on one host alone: nothing is taken from what it is
/// compared with but the plan of its messages.
StepProfile frozen_profile(const ScalingPoints& points, const ScalingKey& key) {
  StepProfile profile = points.measured.at({key.hosts, key.sliced, true}).profile;
  const MeasuredPoint& alone = points.measured.at({1, key.sliced, true});
  profile.units = alone.profile.units;
  profile.begin_s = alone.profile.begin_s;
  profile.pass_s = alone.profile.pass_s;
  profile.update_s = alone.profile.update_s;
  if (profile.group > 1) {  // its pieces have the teacher's time
    const double teacher_s = 1e-3 * alone.step.at("emulated").at("teacher_ms").get<double>();
    profile.pass_s = std::max(0.0, profile.pass_s - teacher_s);
  }
  profile.overlap = key.overlap;
  return profile;
}

void measured_parts(const ScalingPoints& points, const std::string& folder, Row& row) {
  std::vector<double> errors;
  Json details = Json::array();
  for (const auto& [key, point] : points.measured) {
    const StepProfile profile = frozen_profile(points, key);
    const Machine machine = {Topology::flat, key.hosts, 1, kHostLink};
    const Json line = simulate(
        {machine, SumAlgorithm::open_mpi, kSteps, 1},
        settled_profile(profile, machine, SumAlgorithm::open_mpi, 0, profile.chunk_bytes), folder);
    const double simulated_ms = 1e3 * line.at("step_s").get<double>();
    const double measured_ms = median(point.step_ms);
    errors.push_back(std::abs(simulated_ms / measured_ms - 1));
    details.push_back({{"hosts", key.hosts},
                       {"sliced", key.sliced},
                       {"overlap", key.overlap},
                       {"measured_ms", point.step_ms},
                       {"simulated_ms", simulated_ms},
                       {"formula_ms", 1e3 * line["formula"]["step_s"].get<double>()}});
  }
  row.parts.push_back({"simulated against measured, the worst point",
                       *std::max_element(errors.begin(), errors.end()),
                       0.1,
                       false,
                       {{"points", details}}});
  row.parts.push_back(
      {"simulated against measured, the median", median(errors), 0.05, false, Json::object()});
}

/// Written by bench step on this processor, the teacher in slices.
StepProfile processor_profile(const std::string& student, const std::string& folder) {
  const std::string path = concat(folder, '/', student, ".json");
  run_program(
      on_ranks(2, {own_path(), "bench", "step", "--student", student, "--batch", "32", "--warmup",
                   "5", "--steps", "5", "--teacher.sharding", "gather", "--profile", path}));
  return read_profile(path);
}

StepProfile faster(StepProfile profile, double factor) {
  for (UnitProfile& unit : profile.units) {
    unit.forward_s /= factor;
    unit.backward_s /= factor;
  }
  for (GatherPiece& piece : profile.slices.pieces) piece.seconds /= factor;
  profile.begin_s /= factor;
  profile.pass_s /= factor;
  profile.update_s /= factor;
  return profile;
}

/// On a fat tree of fast links, the teacher in groups of 8.
Json on_large_machine(const StepProfile& measured, int64_t nodes, const std::string& folder,
                      int64_t steps = kSteps) {
  const Machine machine = {Topology::fat_tree, nodes, 1, kFastLink};
  return simulate({machine, SumAlgorithm::halving, steps, 64},
                  settled_profile(measured, machine, SumAlgorithm::halving, 8, 0), folder);
}

void formula_parts(const StepProfile& measured, const std::string& folder, Row& row) {
  StepProfile whole = measured;
  whole.group = 0;
  whole.slices = {};
  for (const auto& [name, profile, most] :
       {std::tuple("without slices", whole, 0.01), std::tuple("with slices", measured, 0.05)}) {
    double worst = 0;
    for (const int64_t nodes : {16, 32, 64}) {
      const Json line = on_large_machine(profile, nodes, folder);
      const double formula_s = line.at("formula").at("step_s").get<double>();
      worst = std::max(worst, std::abs(line.at("step_s").get<double>() / formula_s - 1));
    }
    row.parts.push_back({concat("simulated against the formula at 16 to 64 nodes, ", name), worst,
                         most, false, Json::object()});
  }
}

/// Efficiency, and what the simulation cost.
void large_parts(const char* name, const StepProfile& profile, int64_t nodes, double target,
                 double most_s, double most_mb, const std::string& folder, Row& row,
                 int64_t steps = kSteps) {
  const Json line = on_large_machine(profile, nodes, folder, steps);
  row.parts.push_back({concat("efficiency at ", nodes, " nodes, ", name),
                       line.at("efficiency").get<double>(), target, true, line});
  if (most_s == 0) return;
  row.parts.push_back({concat("seconds of that simulation, ", nodes, " nodes, ", name),
                       line.at("simulation_s").get<double>(), most_s, false, Json::object()});
  row.parts.push_back({concat("MB of that simulation, ", nodes, " nodes, ", name),
                       line.at("simulation_memory_mb").get<double>(), most_mb, false,
                       Json::object()});
}

Row row_of_large_machines() {
  Row row;
  row.against = "no waiting at all";
  row.conditions = {
      {"machine", "100 Gbit/s, 2 us, fat tree, a rank a node, teacher in groups of 8"}};
  simulator();
  return row;
}

}  // namespace

Row bench_simulation(const BenchOptions& options) {
  Row row;
  row.against = "the measured step; the formula of scale/formula.hpp";
  row.conditions = {{"rounds", options.rounds},
                    {"hosts_mbit_s", 8e-6 * kHostLink.bytes_per_s},
                    {"hosts_latency_us", 1e6 * kHostLink.latency_s}};
  simulator();
  const TemporaryFolder folder;
  const std::vector<Json> lines = lines_of_hosts("P6", options, row);
  if (!lines.empty()) measured_parts(read_points(lines), folder.path(), row);
  formula_parts(processor_profile("student1", folder.path()), folder.path(), row);
  return row;
}

Row bench_thousand_nodes(const BenchOptions& /*options*/) {
  Row row = row_of_large_machines();
  const TemporaryFolder folder;
  const StepProfile small = processor_profile("student1", folder.path());
  large_parts("4 MB", small, 1024, 0.97, 90, 1000, folder.path(), row);
  large_parts("4 MB, compute 10x faster", faster(small, 10), 1024, 0.85, 0, 0, folder.path(), row);
  large_parts("94 MB", processor_profile("resnet50", folder.path()), 1024, 0.93, 0, 0,
              folder.path(), row);
  return row;
}

Row bench_thousands_of_nodes(const BenchOptions& /*options*/) {
  Row row = row_of_large_machines();
  const TemporaryFolder folder;
  // Every step takes as long as the one before: one will do.
  large_parts("4 MB", processor_profile("student1", folder.path()), 4096, 0.95, 900, 6000,
              folder.path(), row, 1);
  large_parts("94 MB", processor_profile("resnet50", folder.path()), 4096, 0.90, 3600, 16000,
              folder.path(), row, 1);
  return row;
}

}  // namespace bitstill
