// The profile of a training step, by the parts that make the step and the time that they took.
#pragma once

#include <cstdint>

#include "bitstill/scale/profile.hpp"
#include "bitstill/teacher/teacher.hpp"
#include "bitstill/train/exchange.hpp"
#include "bitstill/train/step.hpp"
#include "timed_units.hpp"

namespace bitstill {

/// Of a rank's step of so many micro-batches, without a codec. Of all seconds it has those of the
/// teacher's pieces alone, as measured at its start. `teacher` may be null.
StepProfile profile_of(Student& student, const GradientExchange& exchange,
                       const ExchangeOptions& options, const Teacher* teacher,
                       int64_t micro_batches);

/// Steps of this rank.
struct TimedSteps {
  int64_t count = 0;
  PhaseSeconds begin, end;   // before and after them
  double exposed_s = 0;      // of the teacher's: waiting for pieces
  const UnitSeconds& units;  // since before them
};
void set_seconds(const TimedSteps& steps, StepProfile* profile);

}  // namespace bitstill
