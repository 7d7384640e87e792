#include "scaling_points.hpp"

namespace bitstill {
namespace {

/// Payload that a host hands on in a step's sums, each way, by the fewest bytes that a sum needs.
double sum_bytes(const Json& step, int64_t hosts) {
  const auto ranks = static_cast<double>(hosts);
  return 2 * (ranks - 1) / ranks * step.at("sent").at("gradients").at("bytes").get<double>();
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

}  // namespace bitstill
