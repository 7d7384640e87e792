#include "bitstill/config/scaling.hpp"

#include <algorithm>
#include <functional>

#include "bitstill/base/error.hpp"
#include "bitstill/base/text.hpp"

namespace bitstill {
namespace {

void require(bool good, const std::string& message) {
  if (!good) throw Error(ExitCode::settings, message);
}

}  // namespace

void check(const ScalingOptions& s) {
  const bool rising = std::is_sorted(s.nodes.begin(), s.nodes.end(), std::less_equal<>());
  require(!s.nodes.empty() && s.nodes.front() >= 1 && rising,
          "scaling.nodes: give numbers of 1 or more, each above the one before");
  require(s.ranks >= 1, concat("scaling.ranks = ", s.ranks, ": give 1 or more"));
  require(s.group >= 0, concat("scaling.group = ", s.group, ": give 0 or a number of ranks"));
  require(s.chunk_bytes == 0 || s.chunk_bytes >= 64,
          concat("scaling.chunk_bytes = ", s.chunk_bytes, ": give 0 or 64 and more"));
  require(s.gbit > 0, concat("scaling.gbit = ", s.gbit, ": give a rate above 0"));
  require(s.latency_us >= 0, concat("scaling.latency_us = ", s.latency_us, ": give 0 or more"));
  require(s.steps >= 1, concat("scaling.steps = ", s.steps, ": give 1 or more"));
  require(s.fraction >= 1, concat("scaling.fraction = ", s.fraction, ": give 1 or more"));
}

}  // namespace bitstill
