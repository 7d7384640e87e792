#include "device.hpp"

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/ones.h>

#include <algorithm>

#include "bitstill/base/log.hpp"
#include "bitstill/base/text.hpp"
#include "bitstill/comm/agree.hpp"
#include "bitstill/comm/processors.hpp"
#include "bitstill/quant/cuda_kernel.hpp"

namespace bitstill {
namespace {

/// Of this rank, by the processors that all ranks of its host may use.
int threads_by_cpus(World& world, bool counts) {
  const std::vector<int> threads =
      share_cpus(gather_cpus(world.control(), {world.place().first_on_host, allowed_cpus()}));
  const auto [least, most] = std::minmax_element(threads.begin(), threads.end());
  if (counts && *least < *most) {
    say(concat("ranks take ", *least, " to ", *most,
               " threads, by the processors that each may use; run.threads sets one number"));
  }
  return threads[static_cast<std::size_t>(world.place().rank)];
}

/// LibTorch's thread for the backward passes of a GPU calls cuBLAS first where the last layer is
/// linear, which then warns that its thread has no context; any other work gives it one.
void start_backward_thread(const c10::Device& gpu) {
  const at::Tensor one = at::ones({1}, gpu).requires_grad_();
  one.mul(one).backward();
}

}  // namespace

DeviceChoice choose_device(World& world, DeviceWish device, int64_t threads, bool fixed_order,
                           bool tf32) {
  DeviceChoice choice;
  const int by_cpus = threads_by_cpus(world, threads == 0 && !fixed_order);
  choice.threads = threads > 0 ? static_cast<int>(threads) : (fixed_order ? 1 : by_cpus);
  at::set_num_threads(choice.threads);
  if (at::get_num_interop_threads() != 1) at::set_num_interop_threads(1);  // may be set once only
  at::globalContext().setAllowTF32CuBLAS(tf32);
  at::globalContext().setAllowTF32CuDNN(tf32);  // LibTorch's default rounds convolutions
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
  if (takes_gpu(world.control(), device, has_cuda)) {
    const auto index = static_cast<c10::DeviceIndex>(world.place().local_rank %
                                                     at::detail::getCUDAHooks().deviceCount());
    choice.device = c10::Device(c10::kCUDA, index);
    agree(world.control(), [&] { start_backward_thread(choice.device); });
  }
  choice.name = choice.device.str();
  return choice;
}

}  // namespace bitstill
