// Independent pieces of work over threads.
#pragma once

#include <cstdint>
#include <functional>

namespace bitstill {

/// Calls work(i) once for each i of [0, count), on up to `threads` threads, the caller's among
/// them. Every piece is tried; then what the lowest failing i threw is thrown again.
void parallel_for(int64_t count, int64_t threads, const std::function<void(int64_t)>& work);

}  // namespace bitstill
