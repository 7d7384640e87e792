// P5: weak scaling on hosts whose compute is emulated.
#include "bitstill/base/text.hpp"
#include "scaling_points.hpp"

namespace bitstill {
namespace {

/// Payload that a host hands on in a step's sums, each way, by the fewest bytes that a sum needs.
double sum_bytes(const Json& step, int64_t hosts) {
  const auto ranks = static_cast<double>(hosts);
  return 2 * (ranks - 1) / ranks * step.at("sent").at("gradients").at("bytes").get<double>();
}

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

ScalingPoints read_points(const std::vector<Json>& lines) {
  ScalingPoints points;
  for (const Json& line : lines) {
    const Json& step = line.at("step");
    if (line.contains("bound")) {
      const auto hosts = line["bound"].get<int64_t>();
      const double busy_s = 1e-3 * step.at("ms").at("exchange_busy").get<double>();
      const double mbit_s = 8e-6 * sum_bytes(step, hosts) / busy_s;
      points.bound[hosts].mbit_s.push_back(mbit_s);
      points.bound[hosts].share.push_back(mbit_s / line.at("iperf_mbit").get<double>());
      continue;
    }
    MeasuredPoint& point =
        points.measured[{line.at("hosts").get<int64_t>(), line.at("teacher") == "sliced",
                         line.at("overlap") == "on"}];
    point.step_ms.push_back(step.at("step_ms_median").get<double>());
    point.step = step;
    if (!line.at("profile").is_null()) {
      point.profile = profile_from_json(line["profile"], "the profile of bench step");
    }
  }
  return points;
}

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
