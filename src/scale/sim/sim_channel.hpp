// A lane in a simulation: a further MPI rank on its worker's host, to which work is handed over in
// the one address space that all simulated ranks share.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <simgrid/s4u.hpp>

#include "bitstill/comm/channel.hpp"

namespace bitstill {

/// Shared by the two ranks.
class SimLane {
 public:
  /// The worker's: queues work; its event tells that it is done.
  EventPtr push(std::function<void(Communicator&)> work);
  void wait(const EventPtr& done);
  void close();
  /// The further rank's: runs what comes, in order, until close().
  void serve(Communicator& comm);

 private:
  struct Item;
  simgrid::s4u::MutexPtr mutex_ = simgrid::s4u::Mutex::create();
  simgrid::s4u::ConditionVariablePtr changed_ = simgrid::s4u::ConditionVariable::create();
  std::deque<std::shared_ptr<Item>> queue_;
  bool closing_ = false;
  double busy_s_ = 0;

  friend class SimChannel;
};

/// The worker's end of a lane.
class SimChannel final : public Channel {
 public:
  explicit SimChannel(std::shared_ptr<SimLane> lane) : lane_(std::move(lane)) {}
  ~SimChannel() override { lane_->close(); }
  using Channel::all_reduce;

  EventPtr enqueue(std::function<void(Communicator&)> work) override;
  EventPtr all_reduce(void* data, int64_t count, ElementType type, EventPtr ready) override;
  EventPtr all_gather(const void* mine, void* all, int64_t bytes, EventPtr ready,
                      std::shared_ptr<const void> memory) override;
  void wait(const EventPtr& done) override { lane_->wait(done); }
  void wait_on_host(const EventPtr& done) override { lane_->wait(done); }
  double take_busy_seconds() override;

 private:
  std::shared_ptr<SimLane> lane_;
};

}  // namespace bitstill
