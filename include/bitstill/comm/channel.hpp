// An ordered, asynchronous stream of collectives: the n-th call on every rank belongs together.
//
// CPU: a lane, one thread with its own duplicated communicator (LaneChannel), or, with
// exchange.overlap = off or below MPI_THREAD_MULTIPLE, the calling thread itself (InlineChannel,
// also the tests' reference). GPU: NCCL on its own stream (NcclChannel).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "bitstill/comm/communicator.hpp"

namespace bitstill {

/// Work already enqueued somewhere. On a GPU it wraps a device event; on the CPU a finished flag.
class Event {
 public:
  virtual ~Event() = default;
};
using EventPtr = std::shared_ptr<Event>;

class Channel {
 public:
  virtual ~Channel() = default;

  /// Runs `work` on the channel's communicator, after all earlier work of this channel. Returns at
  /// once; the memory that `work` touches belongs to the channel until wait() returns.
  /// CPU channels only; a device channel throws Error(environment).
  virtual EventPtr enqueue(std::function<void(Communicator&)> work) = 0;

  /// Sum over ranks in place, once `ready` (null: now) has happened.
  virtual EventPtr all_reduce(float* data, int64_t count, EventPtr ready) = 0;

  /// Blocks (CPU), or makes the current device stream wait (GPU), until `done` has happened.
  /// Rethrows what the work threw.
  virtual void wait(const EventPtr& done) = 0;

  /// Seconds this channel has spent inside collectives since the last call.
  virtual double take_busy_seconds() = 0;
};

std::unique_ptr<Channel> make_lane_channel(std::unique_ptr<Communicator> comm);
std::unique_ptr<Channel> make_inline_channel(std::unique_ptr<Communicator> comm);

}  // namespace bitstill
