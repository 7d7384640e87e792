#include "share_out.hpp"

#include <ATen/Parallel.h>

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

namespace bitstill {

void share_out(int64_t count, int64_t values, const std::function<void(int64_t)>& work) {
  constexpr int64_t kValuesPerThread = 1 << 20;  // starting a thread costs as much as 1 % of this
  const int64_t threads = std::clamp<int64_t>(values / kValuesPerThread, 1, at::get_num_threads());
  std::atomic<int64_t> next{0};
  std::mutex mutex;
  int64_t failed = count;  // under mutex
  std::exception_ptr error;
  const auto run = [&] {
    for (int64_t i = next++; i < count; i = next++) {
      try {
        work(i);
      } catch (...) {
        const std::lock_guard lock(mutex);
        if (i < failed) error = std::current_exception();
        failed = std::min(failed, i);
      }
    }
  };
  {
    std::vector<std::jthread> others;
    for (int64_t t = 1; t < threads; ++t) others.emplace_back(run);
    run();
  }
  if (error) std::rethrow_exception(error);
}

}  // namespace bitstill
