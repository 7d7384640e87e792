#include "step_profile.hpp"

#include <algorithm>

#include "bitstill/base/text.hpp"

namespace bitstill {
namespace {

/// The start's measure of a piece is of one sweep; what all of them take in a step is known better.
void share_out(double teacher_s, StepProfile* profile) {
  double measured_s = 0;
  for (const GatherPiece& piece : profile->slices.pieces) measured_s += piece.seconds;
  for (GatherPiece& piece : profile->slices.pieces) piece.seconds *= teacher_s / measured_s;
}

}  // namespace

StepProfile profile_of(Student& student, const GradientExchange& exchange,
                       const ExchangeOptions& options, const Teacher* teacher,
                       int64_t micro_batches) {
  StepProfile profile;
  const auto& parameters = student.network().parameters();
  std::size_t next = 0;  // parameter; the units' follow each other
  for (const auto& unit : student.network().units()) {
    UnitProfile its{concat("unit ", profile.units.size()), 0, 0, {}};
    for (std::size_t i = unit->parameters().size(); i > 0; --i, ++next) {
      const Segment& segment = student.segments()[next];
      if (its.gradients.empty()) its.name = parameters[next]->name;
      its.gradients.push_back({segment.offset, segment.count});
    }
    profile.units.push_back(std::move(its));
  }
  profile.elements = student.gradients().numel();
  profile.sums = exchange.sums();
  profile.chunk_bytes = options.chunk_bytes;
  profile.micro_batches = micro_batches;
  profile.fixed = options.order == ExchangeOrder::fixed;
  if (teacher != nullptr && teacher->traits().slices) {
    const SliceFacts& slices = *teacher->traits().slices;
    profile.group = slices.world;
    profile.slices = {slices.window, slices.measured};
  }
  return profile;
}

void set_seconds(const TimedSteps& steps, StepProfile* profile) {
  const auto count = static_cast<double>(steps.count);
  const double passes = count * static_cast<double>(profile->micro_batches);
  const auto seconds = [&](double PhaseSeconds::*phase) {
    return steps.end.*phase - steps.begin.*phase;
  };
  const std::vector<double>& forward = steps.units.forward();
  const std::vector<double> backward = steps.units.backward(seconds(&PhaseSeconds::backward));
  for (std::size_t u = 0; u < profile->units.size(); ++u) {
    profile->units[u].forward_s = forward[u] / passes;
    profile->units[u].backward_s = backward[u] / passes;
  }
  double others = seconds(&PhaseSeconds::data) + seconds(&PhaseSeconds::forward);
  if (profile->group == 0) {
    others += seconds(&PhaseSeconds::teacher);
  } else {
    share_out((seconds(&PhaseSeconds::teacher) - steps.exposed_s) / count, profile);
  }
  profile->begin_s = seconds(&PhaseSeconds::quantize) / count;
  profile->pass_s = std::max(0.0, others / passes - profile->forward_s());
  profile->update_s = seconds(&PhaseSeconds::update) / count;
}

}  // namespace bitstill
