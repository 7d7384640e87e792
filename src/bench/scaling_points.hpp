// Steps measured on 1 to 8 hosts, for P5 and P6.
#pragma once

#include <map>
#include <vector>

#include "bitstill/scale/profile.hpp"
#include "hosts.hpp"

namespace bitstill {

/// Hosts, a rank each; the teacher whole or in slices; exchange and gathers under the passes.
struct ScalingKey {
  int64_t hosts = 1;
  bool sliced = false, overlap = true;
  auto operator<=>(const ScalingKey&) const = default;
};

struct MeasuredPoint {
  std::vector<double> step_ms;  // round by round
  Json step;                    // the last line of bench step
  StepProfile profile;          // where messages overlap
};

struct BoundPoint {
  std::vector<double> share;  // of iperf3's rate, round by round
  std::vector<double> mbit_s;
};

struct ScalingPoints {
  std::map<ScalingKey, MeasuredPoint> measured;
  std::map<int64_t, BoundPoint> bound;  // by hosts; none without iperf3
};

/// Of lines_of_hosts("P5" or "P6").
ScalingPoints read_points(const std::vector<Json>& lines);

}  // namespace bitstill
