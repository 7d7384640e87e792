// An ordered, asynchronous stream of collectives: the n-th call on every rank belongs together.
//
// CPU: a lane, one thread with its own duplicated communicator (LaneChannel), or, with
// exchange.overlap = off or below MPI_THREAD_MULTIPLE, the calling thread itself (InlineChannel,
// also the tests' reference). GPU: NCCL on its own stream (nccl.hpp).
//
// Memory: what a call names belongs to the channel until wait() on its event has returned; the
// caller neither reads, writes nor frees it before. The function objects belong to the channel.
// A failing lane is left behind and may still write: memory that may end before it does is given
// to the work itself (all_gather's `memory`).
// Errors: the first failure ends the channel. Work queued behind it is never run; waiting for it,
// and enqueuing anything later, throws the same error.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <utility>

#include "bitstill/comm/communicator.hpp"

namespace bitstill {

/// Work already enqueued somewhere. On a GPU it wraps a device event; on the CPU a future.
class Event {
 public:
  virtual ~Event() = default;
};
using EventPtr = std::shared_ptr<Event>;

class Channel {
 public:
  /// Finishes what is queued. While an exception unwinds: drops what has not begun, and gives what
  /// runs one second (another rank may never come), since the job is about to end.
  virtual ~Channel() = default;

  /// Runs `work` on the channel's communicator, after all earlier work of this channel. A lane
  /// returns at once. CPU channels only; a device channel throws Error(environment).
  virtual EventPtr enqueue(std::function<void(Communicator&)> work) = 0;

  /// Sum over ranks in place, once `ready` (null: now) has happened. CPU: f32, f64, i64,
  /// bf16; device: f32, bf16.
  /// Collective: every rank calls this, in the same order.
  virtual EventPtr all_reduce(void* data, int64_t count, ElementType type, EventPtr ready) = 0;
  EventPtr all_reduce(float* data, int64_t count, EventPtr ready) {
    return all_reduce(data, count, ElementType::f32, std::move(ready));
  }

  /// all[r * bytes ...] = rank r's mine[0 ... bytes), once `ready` (null: now) has happened, on CPU
  /// and device channels. `memory` holds what mine and all point into, if need be: it lives until
  /// the work is done or dropped.
  /// Collective: every rank calls this, in the same order, with the same bytes.
  virtual EventPtr all_gather(const void* mine, void* all, int64_t bytes, EventPtr ready,
                              std::shared_ptr<const void> memory = nullptr) = 0;

  /// Blocks (CPU), or makes the current device stream wait (GPU), until `done` has happened.
  /// Rethrows what the work threw.
  virtual void wait(const EventPtr& done) = 0;
  /// Blocks the host until `done` has happened. A device channel polls, and throws Error(peer) once
  /// NCCL knows of a failure.
  virtual void wait_on_host(const EventPtr& done) = 0;

  /// Seconds this channel has spent inside collectives since the last call; waiting for `ready`
  /// is not counted.
  virtual double take_busy_seconds() = 0;
};

std::unique_ptr<Channel> make_lane_channel(std::unique_ptr<Communicator> comm);
std::unique_ptr<Channel> make_inline_channel(std::unique_ptr<Communicator> comm);

}  // namespace bitstill
