// Profiles of steps, for tests.
#pragma once

#include "bitstill/scale/profile.hpp"

namespace bitstill {

/// `units` layers of `floats` gradients each, numbers that none divides evenly.
inline StepProfile some_profile(int64_t units, int64_t floats) {
  StepProfile profile;
  for (int64_t u = 0; u < units; ++u) {
    const int64_t offset = profile.elements;
    UnitProfile unit{
        "unit " + std::to_string(u), 0.001, 0.002 + 0.0005 * static_cast<double>(u), {}};
    unit.gradients = {{offset, floats - 7}, {offset + floats, 7}};  // padding of 7 between them
    profile.units.push_back(unit);
    profile.elements = offset + floats + 16;
  }
  profile.sums = 9;
  profile.chunk_bytes = 1024;
  profile.begin_s = 0.0001;
  profile.pass_s = 0.003;
  profile.update_s = 0.0002;
  profile.made_by = {{"processor", "none"}};
  return profile;
}

/// The same with a teacher that `group` ranks share.
inline StepProfile with_slices(StepProfile profile, int64_t group) {
  profile.group = group;
  for (const int64_t bytes : {640, 64, 1280, 320}) {
    profile.slices.pieces.push_back({bytes, bytes * group, 0.001});
  }
  profile.slices.window = least_window(profile.slices.pieces) + 700;
  return profile;
}

}  // namespace bitstill
