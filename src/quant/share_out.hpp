// Independent pieces of work over threads.
#pragma once

#include <cstdint>
#include <functional>

namespace bitstill {

/// Calls work(i) once for each i of [0, count), on up to LibTorch's number of threads where
/// `values`, the size of it all, is worth starting them. Rethrows what the lowest failing i threw.
void share_out(int64_t count, int64_t values, const std::function<void(int64_t)>& work);

}  // namespace bitstill
