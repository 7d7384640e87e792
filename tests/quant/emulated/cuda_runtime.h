// The part of CUDA that src/quant/*.cu use, on the CPU: the same sources compile as plain C++, and
// their grids run block by block, a fiber each thread. So the kernels' arithmetic, indices, sums'
// order and barriers are tested without a GPU; its memory, caches and rounding are not.
//
// Device memory is the host's. Threads run until they wait, in turn: every other round backwards,
// so that code which lacks a barrier finds its neighbours early as well as late.
#pragma once

#include <math.h>
#include <ucontext.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <limits>
#include <memory>
#include <tuple>
#include <utility>
#include <vector>

#define __global__
#define __device__
#define __shared__ static

struct dim3 {
  constexpr dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
  unsigned x, y, z;
};
inline dim3 gridDim, blockDim, blockIdx, threadIdx;  // the last one: of the fiber that runs

enum cudaError_t { cudaSuccess, cudaErrorInvalidConfiguration };
using cudaStream_t = struct EmulatedStream*;
struct cudaLaunchConfig_t {
  dim3 gridDim, blockDim;
  cudaStream_t stream = nullptr;
};
inline const char* cudaGetErrorString(cudaError_t code) {
  return code == cudaSuccess ? "no error" : "invalid configuration argument";
}

namespace emulated {

constexpr int kWarpThreads = 32;

/// Opens once all threads that have not ended wait.
struct Barrier {
  int live = 0, waiting = 0;
  uint64_t opened = 0;
  uint64_t values[kWarpThreads] = {};  // of a warp: what its threads show each other
};

/// The block that runs; blocks run one after the other.
class Block {
 public:
  void run(const std::function<void()>& body) {
    body_ = &body;
    const auto threads = static_cast<int>(blockDim.x * blockDim.y);
    while (static_cast<int>(fibers_.size()) < threads) fibers_.push_back(std::make_unique<Fiber>());
    warps_.assign(static_cast<std::size_t>((threads + kWarpThreads - 1) / kWarpThreads), {});
    all_ = {};
    all_.live = threads;
    for (int t = 0; t < threads; ++t) begin(t);
    for (bool backwards = false; all_.live > 0; backwards = !backwards) {
      const uint64_t before = progress_;
      for (int t = 0; t < threads; ++t) resume(backwards ? threads - 1 - t : t);
      if (progress_ == before) fail("threads wait for each other at different barriers");
    }
  }

  void wait_for_all() { wait(all_); }
  void wait_for_warp() { wait(warp()); }
  Barrier& warp() { return warps_[static_cast<std::size_t>(current_ / kWarpThreads)]; }
  int lane() const { return current_ % kWarpThreads; }

 private:
  struct Fiber {
    ucontext_t context;
    std::vector<char> stack = std::vector<char>(1 << 15);
    bool ended = false;
  };

  [[noreturn]] static void fail(const char* why) {
    std::fprintf(stderr, "emulated GPU: %s\n", why);
    std::abort();
  }

  void begin(int thread) {
    Fiber& fiber = *fibers_[static_cast<std::size_t>(thread)];
    fiber.ended = false;
    getcontext(&fiber.context);
    fiber.context.uc_stack.ss_sp = fiber.stack.data();
    fiber.context.uc_stack.ss_size = fiber.stack.size();
    fiber.context.uc_link = &scheduler_;
    makecontext(&fiber.context, &Block::enter, 0);
    ++warps_[static_cast<std::size_t>(thread / kWarpThreads)].live;
  }

  void resume(int thread) {
    Fiber& fiber = *fibers_[static_cast<std::size_t>(thread)];
    if (fiber.ended) return;
    current_ = thread;
    threadIdx = dim3(static_cast<unsigned>(thread) % blockDim.x,
                     static_cast<unsigned>(thread) / blockDim.x, 0);
    swapcontext(&scheduler_, &fiber.context);
  }

  static void enter();

  void end() {
    fibers_[static_cast<std::size_t>(current_)]->ended = true;
    --warp().live;
    --all_.live;
    ++progress_;
  }

  void wait(Barrier& barrier) {
    const uint64_t opened = barrier.opened;
    ++barrier.waiting;
    while (barrier.opened == opened) {
      if (barrier.waiting == barrier.live) {
        barrier.waiting = 0;
        ++barrier.opened;
        ++progress_;
      } else {
        swapcontext(&fibers_[static_cast<std::size_t>(current_)]->context, &scheduler_);
      }
    }
  }

  const std::function<void()>* body_ = nullptr;
  std::vector<std::unique_ptr<Fiber>> fibers_;
  std::vector<Barrier> warps_;
  Barrier all_;
  ucontext_t scheduler_;
  int current_ = 0;
  uint64_t progress_ = 0;
};

inline Block block;

inline void Block::enter() {
  (*block.body_)();
  block.end();
}

}  // namespace emulated

inline void __syncthreads() {
  emulated::block.wait_for_all();
}

template <class T>
T __shfl_xor_sync(unsigned, T value, int mask) {
  emulated::Barrier& warp = emulated::block.warp();
  std::memcpy(&warp.values[emulated::block.lane()], &value, sizeof value);
  emulated::block.wait_for_warp();
  T other{};
  std::memcpy(&other, &warp.values[emulated::block.lane() ^ mask], sizeof other);
  emulated::block.wait_for_warp();  // before a thread shows its next value
  return other;
}

inline unsigned long long atomicMin(unsigned long long* to, unsigned long long value) {
  const unsigned long long before = *to;
  *to = std::min(before, value);
  return before;
}

inline float __double2float_rd(double value) {
  const auto nearest = static_cast<float>(value);
  return nearest <= value ? nearest
                          : std::nextafterf(nearest, -std::numeric_limits<float>::infinity());
}

template <class... Expected, class... Actual>
cudaError_t cudaLaunchKernelEx(const cudaLaunchConfig_t* config, void (*kernel)(Expected...),
                               Actual&&... actual) {
  if (config->blockDim.x * config->blockDim.y > 1024) return cudaErrorInvalidConfiguration;
  const std::tuple<Expected...> arguments(std::forward<Actual>(actual)...);
  gridDim = config->gridDim;
  blockDim = config->blockDim;
  for (blockIdx = dim3(0); blockIdx.x < gridDim.x; ++blockIdx.x) {
    emulated::block.run([&] { std::apply(kernel, arguments); });
  }
  return cudaSuccess;
}
