// One of the trainers that bench step times side by side.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "bitstill/bench/step.hpp"
#include "bitstill/comm/communicator.hpp"
#include "bitstill/train/assemble.hpp"
#include "emulated.hpp"
#include "step_profile.hpp"
#include "timed_units.hpp"

namespace bitstill {

constexpr int64_t kStepSeed = 1, kStepClasses = 10;

/// `name`: a kind, or KIND-DEPTH-WIDTH_FACTOR.
NetworkSpec spec_of(const std::string& name, const Dataset& dataset);
/// A network of it, the same each time.
std::unique_ptr<Network> initialized(const NetworkSpec& spec);
QuantOptions quant_options(const BenchStepOptions& s, QuantMethod method);

/// One trainer: the parts of src/train's TrainingRun, without logs, validation and files.
class StepArm {
 public:
  StepArm(World& world, const BenchStepOptions& s, const at::Device& device, QuantMethod method,
          const Dataset& dataset, Teacher* teacher, Watchdog& watchdog);

  /// Steps in milliseconds.
  std::vector<double> run(int64_t steps);
  Json result();  // of all rounds; collective
  void begin_profile() { unit_seconds_.restart(student_.network().units().size()); }
  /// Of all rounds, on this rank.
  StepProfile profile();

  const QuantMethod method;
  PhaseSeconds before;  // at the end of the warm-up
  std::vector<double> step_ms, round_ms;
  double cpu_s = 0, busy_s = 0;
  GatherSeconds gather;
  TrafficCounts traffic{};  // of this rank in the timed steps

  TrainingStep& step() { return parts_.step; }
  GradientExchange& exchange() { return parts_.exchange; }
  GatherSeconds take_gather_seconds() {
    return teacher_ != nullptr ? teacher_->take_gather_seconds() : GatherSeconds{};
  }

 private:
  BatchPlan batch_plan(const Dataset& dataset);

  World& world_;
  const BenchStepOptions& settings_;
  const at::Device device_;
  Teacher* teacher_;
  TrainingOptions options_;
  std::vector<EmulatedLayer> layers_;  // of the student; empty where it computes
  UnitSeconds unit_seconds_;           // where a profile is asked for
  Student student_;
  EpochPlan plan_;  // of each epoch, but for the order
  TrainingParts parts_;
  std::vector<int64_t> order_;  // of the epoch that the prefetch thread is in
  std::unique_ptr<RowDecoder> decoder_;
  Prefetcher prefetcher_;
  int64_t next_ = 0;
};

}  // namespace bitstill
