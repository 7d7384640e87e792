// A step walked on a simulated machine: scale_sim under SimGrid's smpirun.
#pragma once

#include <string>

#include "bitstill/base/json.hpp"
#include "bitstill/scale/simulation.hpp"

namespace bitstill {

/// scale_sim, built beside this program. Error(environment) where there is none.
std::string simulator();

/// `profile` is settled (scale/simulation.hpp). nodes, ranks, chunk_bytes, step_s, compute_s,
/// efficiency, the formula's times, what was sent in a step, and what the simulation took: seconds
/// and memory. What it is made from stays in `folder`. Error(environment) where it fails.
Json simulate(const Simulation& simulation, const StepProfile& profile, const std::string& folder);

}  // namespace bitstill
