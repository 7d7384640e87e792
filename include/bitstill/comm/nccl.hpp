// Collectives on device memory: NCCL on a stream of its own. Known by opaque types only, so callers
// and a build without CUDA need neither library; there, every function throws Error(environment).
#pragma once

#include <memory>

#include "bitstill/comm/channel.hpp"
#include "bitstill/comm/world.hpp"

namespace bitstill {

/// A channel for float32 and bfloat16 sums and for gathers over memory of GPU `device`.
/// `compute_stream` (a cudaStream_t; null: the default stream) is the one whose work these follow
/// and precede: with ready = null they begin after all that it holds at the call, wait() makes it
/// wait. NCCL starts at the first of them, where all ranks agree on its success. wait() does not
/// block the host; like all others it throws Error(peer), and aborts NCCL, once NCCL knows of a
/// failure. `memory` is let go by the first call after its gather's end. enqueue() throws. Use from
/// one thread. Must end before `world` does.
/// Collective: every rank of world calls this, in the same order.
std::unique_ptr<Channel> make_nccl_channel(World& world, Traffic kind, int device,
                                           void* compute_stream = nullptr);

/// Happens once all that `stream` (a cudaStream_t of the current device) holds now is done.
EventPtr record_device_event(void* stream);

}  // namespace bitstill
