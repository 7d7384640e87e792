// P5: weak scaling on hosts whose compute is emulated.
#include "bitstill/base/text.hpp"
#include "scaling_points.hpp"

namespace bitstill {
namespace {

Part efficiency(const ScalingPoints& points, bool sliced, double target) {
  const MeasuredPoint& one = points.measured.at({1, sliced, true});
  Json details = {{"backward_ms", one.step.at("emulated").at("backward_ms")}};
  std::vector<double> at_eight;
  for (const auto& [key, point] : points.measured) {
    if (key.sliced != sliced || !key.overlap) continue;
    std::vector<double> shares;
    for (std::size_t i = 0; i < point.step_ms.size(); ++i) {
      shares.push_back(one.step_ms[i] / point.step_ms[i]);
    }
    details[concat("hosts_", key.hosts)] = {{"step_ms", point.step_ms},
                                            {"efficiency", median(shares)}};
    if (key.hosts == 8) at_eight = shares;
  }
  return {concat("efficiency at 8 hosts, the teacher ", sliced ? "in slices" : "whole"),
          median(at_eight), target, true, details};
}

}  // namespace

Row bench_weak_scaling(const BenchOptions& options) {
  Row row;
  row.against = "the same step on one host; of bound sums iperf3 between two hosts";
  row.conditions = {{"hosts", {1, 2, 4, 8}},
                    {"link", "200 Mbit/s"},
                    {"rounds", options.rounds},
                    {"student", "student1, emulated"}};
  const std::vector<Json> lines = lines_of_hosts("P5", options, row);
  if (lines.empty()) return row;
  const ScalingPoints points = read_points(lines);
  row.parts = {efficiency(points, false, 0.95), efficiency(points, true, 0.9)};
  for (const auto& [hosts, bound] : points.bound) {
    row.parts.push_back({concat("sums' share of iperf3's rate at ", hosts, " hosts"),
                         median(bound.share),
                         hosts == 2 ? 0.9 : 0.8,
                         true,
                         {{"mbit_s", bound.mbit_s}}});
  }
  if (points.bound.empty()) row.skip = "sums against iperf3's rate: there is no iperf3";
  return row;
}

}  // namespace bitstill
