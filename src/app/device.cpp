#include "device.hpp"

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <sched.h>

#include <algorithm>

#include "bitstill/base/text.hpp"
#include "bitstill/comm/agree.hpp"
#include "bitstill/quant/cuda_kernel.hpp"

namespace bitstill {
namespace {

/// The cores this process may use over the ranks that share them.
int cores_of_rank(World& world) {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
  int64_t mask = 0;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(cpu, &set)) mask = mask * 31 + cpu + 1;
  }
  // Ranks that mpirun bound have different sets; unbound ones all have the same.
  int64_t least = mask, greatest = mask;
  world.control().all_reduce(&least, 1, ElementType::i64, Reduction::min);
  world.control().all_reduce(&greatest, 1, ElementType::i64, Reduction::max);
  const int sharers = least == greatest ? world.place().local_world : 1;
  return std::max(1, CPU_COUNT(&set) / sharers);
}

}  // namespace

DeviceChoice choose_device(World& world, DeviceWish device, int64_t threads, bool fixed_order) {
  DeviceChoice choice;
  const int cores = cores_of_rank(world);
  choice.threads = threads > 0 ? static_cast<int>(threads) : (fixed_order ? 1 : cores);
  at::set_num_threads(choice.threads);
  if (at::get_num_interop_threads() != 1) at::set_num_interop_threads(1);  // may be set once only
  // Without a GPU at::hasCUDA() is false in a build for GPUs, too.
  const bool has_cuda =
      has_cuda_kernels() && at::hasCUDA() && at::detail::getCUDAHooks().deviceCount() > 0;
  agree(world.control(), [&] {
    if (device == DeviceWish::cuda && !has_cuda) {
      throw Error(ExitCode::environment,
                  concat("run.device = cuda: ",
                         has_cuda_kernels() ? "no GPU is visible on " : "built without CUDA on ",
                         world.place().host, "; use run.device = cpu, or build with preset gpu"));
    }
  });
  const bool cuda = device == DeviceWish::cuda || (device == DeviceWish::automatic && has_cuda);
  if (cuda) {
    const auto index = static_cast<c10::DeviceIndex>(world.place().local_rank %
                                                     at::detail::getCUDAHooks().deviceCount());
    choice.device = c10::Device(c10::kCUDA, index);
  }
  choice.name = choice.device.str();
  return choice;
}

}  // namespace bitstill
