// The kernels of a GPU timed beside its copy of memory.
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/full.h>
#include <ATen/ops/linspace.h>
#include <ATen/ops/rand.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <vector>

#include "bitstill/quant/cuda_kernel.hpp"
#include "bitstill/quant/measure.hpp"

namespace bitstill {
namespace {

constexpr int64_t kBucket = 256;
constexpr int kLaunches = 100;  // between two looks at the clock

using Kernel = std::function<void()>;

/// Seconds of one launch among many: what starting and waiting takes is hidden or shared.
double seconds_of(const c10::Device& gpu, const Kernel& kernel) {
  const c10::impl::VirtualGuardImpl guard(gpu.type());
  guard.synchronizeDevice(gpu.index());
  const auto start = std::chrono::steady_clock::now();
  for (int launch = 0; launch < kLaunches; ++launch) kernel();
  guard.synchronizeDevice(gpu.index());
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() /
         kLaunches;
}

/// `quantize` and a copy of `masters` in turn.
KernelTimes measure_on(const at::Tensor& masters, const at::Tensor& shadows, const Kernel& quantize,
                       int rounds) {
  const Kernel kernels[] = {quantize, [&] { shadows.copy_(masters); }};
  std::vector<double> seconds[2];
  for (const Kernel& kernel : kernels) seconds_of(masters.device(), kernel);  // warm
  for (int round = 0; round < rounds; ++round) {
    for (int k = 0; k < 2; ++k) seconds[k].push_back(seconds_of(masters.device(), kernels[k]));
  }
  KernelTime times[2];
  for (int k = 0; k < 2; ++k) {
    std::sort(seconds[k].begin(), seconds[k].end());
    times[k] = {seconds[k][seconds[k].size() / 2], seconds[k].front(), 4 * masters.numel()};
  }
  return {times[0], times[1], {}};
}

/// One tensor of whole buckets on a GPU, and where its shadows go.
struct Buffers {
  Buffers(const c10::Device& gpu, int64_t bytes)
      : masters(at::rand({bytes / 4 / kBucket * kBucket}, gpu).sub_(0.5)),
        shadows(at::empty_like(masters)),
        bad(at::full({1}, -1, at::TensorOptions().dtype(at::kLong).device(gpu))) {
    outputs.shadows = shadows.mutable_data_ptr<float>();
    outputs.bad = reinterpret_cast<uint64_t*>(bad.mutable_data_ptr<int64_t>());
  }
  at::Tensor masters, shadows, bad;
  CudaOutputs outputs;
};

}  // namespace

KernelTimes measure_uniform_on(const c10::Device& gpu, int64_t bytes, int64_t bits, int rounds) {
  const Buffers buffers(gpu, bytes);
  UniformRun run;
  run.masters = buffers.masters.const_data_ptr<float>();
  run.count = buffers.masters.numel();
  run.bucket = kBucket;
  run.points = 1 << bits;
  return measure_on(
      buffers.masters, buffers.shadows,
      [&] { cuda_quantize_uniform(run, buffers.outputs, nullptr); }, rounds);
}

KernelTimes measure_points_on(const c10::Device& gpu, int64_t bytes, int points, int rounds) {
  const Buffers buffers(gpu, bytes);
  const at::Tensor values = at::linspace(0, 1, points, gpu);
  const PointsRun run{buffers.masters.const_data_ptr<float>(), buffers.masters.numel(), kBucket,
                      values.const_data_ptr<float>(), points};
  return measure_on(
      buffers.masters, buffers.shadows,
      [&] { cuda_quantize_points(run, buffers.outputs, nullptr); }, rounds);
}

}  // namespace bitstill
