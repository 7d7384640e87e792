#include "share_out.hpp"

#include <ATen/Parallel.h>

#include <algorithm>

#include "bitstill/base/parallel_for.hpp"

namespace bitstill {

void share_out(int64_t count, int64_t values, const std::function<void(int64_t)>& work) {
  constexpr int64_t kValuesPerThread = 1 << 20;  // starting a thread costs as much as 1 % of this
  const int64_t threads = std::clamp<int64_t>(values / kValuesPerThread, 1, at::get_num_threads());
  parallel_for(count, threads, work);
}

}  // namespace bitstill
