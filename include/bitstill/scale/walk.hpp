// One training step without its arithmetic: the real plan of chunks, the real gate, window and
// channels, and a clock in the place of what is computed. scale_sim walks it on simulated machines.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "bitstill/comm/channel.hpp"
#include "bitstill/comm/gather_plan.hpp"
#include "bitstill/comm/leaf_tree.hpp"
#include "bitstill/comm/plan.hpp"
#include "bitstill/scale/profile.hpp"

namespace bitstill {

/// Lets time pass.
class StepClock {
 public:
  virtual ~StepClock() = default;
  /// Computes for so long, on the calling rank alone.
  virtual void compute(double seconds) = 0;
};

/// Sleeps: on a machine whose cores are left idle by an accelerator.
class SleepClock final : public StepClock {
 public:
  void compute(double seconds) override;
};

/// Where a walk's messages lie. What they hold means nothing, so that the ranks of a simulation,
/// which are one process, may share one.
struct WalkMemory {
  WalkMemory(const StepProfile& profile, int world);
  std::vector<float> message;   // [sums, gradients]
  std::vector<float> stack;     // of the fixed order: rows of messages
  std::vector<uint8_t> slices;  // of one piece
  std::vector<uint8_t> window;
};

/// Steps of one rank, one after the other.
class StepWalk {
 public:
  /// `gathers` is null without slices; its ranks are those that share a teacher. All but the
  /// profile are used until the end of the walk.
  StepWalk(const StepProfile& profile, int rank, int world, Channel& gradients, Channel* gathers,
           StepClock& clock, WalkMemory& memory);

  /// Collective: every rank calls this, in the same order.
  void step();
  /// Waits for what has left for a step that does not come. Collective.
  void settle();

 private:
  void ask_teacher();
  void send_ahead();
  void take_piece();
  void pass(bool last);
  void send(const Range& chunk);

  StepProfile profile_;
  Channel& gradients_;
  Channel* gathers_;
  StepClock& clock_;
  WalkMemory& memory_;
  ChunkGate gate_;
  std::unique_ptr<LeafTree> tree_;  // of the fixed order
  int64_t rows_ = 0;                // partial sums before the last leaf
  std::unique_ptr<GatherWindow> window_;
  std::deque<EventPtr> arriving_;
  std::vector<EventPtr> sent_;
};

}  // namespace bitstill
