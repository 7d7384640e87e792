#include "bitstill/config/scaling.hpp"

#include <algorithm>
#include <functional>

#include "bitstill/base/error.hpp"
#include "bitstill/base/text.hpp"
#include "bitstill/config/study.hpp"
#include "bitstill/data/sampler.hpp"

namespace bitstill {
namespace {

constexpr int64_t kMost = int64_t{1} << 31;  // keeps products in range
constexpr int64_t kMostPoints = 100'000;

void require(bool good, const std::string& message) {
  if (!good) throw Error(ExitCode::settings, message);
}

void require_count(const char* name, int64_t value, int64_t least = 1) {
  require(value >= least && value <= kMost,
          concat("scaling.", name, " = ", value, ": give ", least, " or more"));
}

std::vector<ScalingMode> modes_of(const ScalingOptions& s) {
  std::vector<ScalingMode> modes;
  for (const std::string& name : comma_list(s.modes)) {
    modes.push_back(from_word<ScalingMode>(name, "scaling.modes"));
    require(std::count(modes.begin(), modes.end(), modes.back()) == 1,
            concat("scaling.modes names ", name, " twice"));
  }
  require(!modes.empty(), "scaling.modes is empty: give weak, strong or both");
  return modes;
}

}  // namespace

void check(const ScalingOptions& s) {
  const bool rising = std::is_sorted(s.nodes.begin(), s.nodes.end(), std::less_equal<>());
  require(!s.nodes.empty() && s.nodes.front() >= 1 && rising && s.nodes.back() <= kMost,
          "scaling.nodes: give numbers of 1 or more, each above the one before");
  require_count("ranks", s.ranks);
  require_count("repeats", s.repeats);
  require_count("skip_steps", s.skip_steps, 0);
  require_count("steps", s.steps);
  require_count("threads", s.threads);
  require(static_cast<int64_t>(s.nodes.size() * modes_of(s).size()) <= kMostPoints / s.repeats,
          concat("scaling: more than ", kMostPoints, " points; give fewer of scaling.repeats"));
  require_count("group", s.group, 0);
  require(s.chunk_bytes == 0 || s.chunk_bytes >= 64,
          concat("scaling.chunk_bytes = ", s.chunk_bytes, ": give 0 or 64 and more"));
  require(s.gbit > 0, concat("scaling.gbit = ", s.gbit, ": give a rate above 0"));
  require(s.latency_us >= 0, concat("scaling.latency_us = ", s.latency_us, ": give 0 or more"));
  require_count("simulated_steps", s.simulated_steps);
  require_count("fraction", s.fraction);
}

std::string ScalingPoint::name() const {
  return concat(word(mode), "_n", nodes, "_r", repeat);
}

std::vector<ScalingPoint> plan_points(const ScalingOptions& s, int64_t batch) {
  std::vector<ScalingPoint> rows;
  for (const ScalingMode mode : modes_of(s)) {
    for (const int64_t nodes : s.nodes) {
      ScalingPoint point{mode, nodes, nodes * s.ranks, 1, batch};
      if (mode == ScalingMode::weak) {
        require(batch % s.nodes.front() == 0 && batch <= kMost,
                concat("scaling: the recipe's batch of ", batch, " does not divide among ",
                       s.nodes.front(), " nodes; it is that of the fewest nodes"));
        point.batch = batch / s.nodes.front() * nodes;
      }
      for (point.repeat = 1; point.repeat <= s.repeats; ++point.repeat) rows.push_back(point);
    }
  }
  std::vector<ScalingPoint> points;
  for (const int64_t row :
       epoch_order(static_cast<int64_t>(rows.size()), static_cast<uint64_t>(s.seed), 0)) {
    points.push_back(rows[static_cast<std::size_t>(row)]);
  }
  return points;
}

}  // namespace bitstill
