// P18: the first GPU that is visible.
#include <ATen/Context.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/rand.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include "bitstill/base/text.hpp"
#include "bitstill/base/timer.hpp"
#include "bitstill/bench/process.hpp"
#include "bitstill/comm/nccl.hpp"
#include "bitstill/quant/cuda_kernel.hpp"
#include "bitstill/quant/measure.hpp"
#include "rows.hpp"

namespace bitstill {
namespace {

const c10::Device kGpu(c10::kCUDA, 0);

std::string obstacle() {
  if (!has_cuda_kernels()) return "built without CUDA (cmake --preset gpu)";
  const bool visible = at::hasCUDA() && at::detail::getCUDAHooks().deviceCount() > 0;
  return visible ? "" : "no GPU is visible";
}

void add_kernel(Row& row, const std::string& name, const KernelTimes& times) {
  row.parts.push_back(
      {concat(name, ", over the device's copy"),
       times.copy.seconds_median / times.fused.seconds_median,
       0.8,
       true,
       {{"us_median", {1e6 * times.fused.seconds_median, 1e6 * times.copy.seconds_median}},
        {"us_min", {1e6 * times.fused.seconds_min, 1e6 * times.copy.seconds_min}},
        {"value_of_minima", times.copy.seconds_min / times.fused.seconds_min}}});
}

void add_step(Row& row, const BenchOptions& options, const std::string& student,
              const std::string& batch) {
  const auto lines = json_lines(
      run_program({own_path(), "bench", "step", "--device", "cuda", "--student", student, "--batch",
                   batch, "--methods", "none,uniform", "--steps", std::to_string(options.steps),
                   "--rounds", std::to_string(options.rounds)})
          .output);
  std::vector<double> ratios;
  const std::vector<double> plain = lines.at(0)["round_ms"], quantized = lines.at(1)["round_ms"];
  for (std::size_t i = 0; i < plain.size(); ++i) ratios.push_back(quantized[i] / plain[i]);
  row.parts.push_back(
      {concat("uniform 4 bits, ", student, ", batch ", batch, ", over the step without"),
       median(ratios),
       1.02,
       false,
       {{"plain_ms_median", median(plain)},
        {"quantized_ms_median", median(quantized)},
        {"quantize_ms", lines.at(1)["ms"]["quantize"]}}});
}

/// A gather that may begin before a long computation is over before it, if it waits for nothing
/// that is enqueued on the stream of computation.
void add_own_stream(Row& row) {
  constexpr int64_t kSide = 8192, kProducts = 20, kBytes = 64'000'000;
  const auto world = World::open();
  const auto channel = make_nccl_channel(*world, Traffic::gathers, kGpu.index());
  const at::Tensor a = at::rand({kSide, kSide}, kGpu), b = at::rand({kSide, kSide}, kGpu);
  at::Tensor product = at::mm(a, b);
  const auto bytes = at::TensorOptions().dtype(at::kByte).device(kGpu);
  const at::Tensor mine = at::empty({kBytes}, bytes), all = at::empty({kBytes}, bytes);
  const auto gather = [&](const EventPtr& ready) {
    channel->wait_on_host(
        channel->all_gather(mine.const_data_ptr(), all.mutable_data_ptr(), kBytes, ready));
  };
  gather(nullptr);  // NCCL starts
  const EventPtr ready = record_device_event(nullptr);
  const Timer timer;
  for (int64_t i = 0; i < kProducts; ++i) at::mm_out(product, a, b);
  gather(ready);
  const double gather_s = timer.seconds();
  c10::impl::VirtualGuardImpl(kGpu.type()).synchronizeDevice(kGpu.index());
  const double compute_s = timer.seconds();
  row.parts.push_back({"a gather's end over the end of products enqueued before it",
                       gather_s / compute_s,
                       0.5,
                       false,
                       {{"gather_ms", 1e3 * gather_s}, {"products_ms", 1e3 * compute_s}}});
}

}  // namespace

Row bench_gpu(const BenchOptions& options) {
  constexpr int64_t kBytes = 64'000'000;
  Row row;
  row.against = "the device's copy of the same 64 MB; the same step with quant.method none";
  row.conditions = {{"ranks", 1}, {"bucket", 256}, {"rounds", options.rounds}};
  row.skip = obstacle();
  if (!row.skip.empty()) return row;
  const auto rounds = static_cast<int>(options.rounds);
  for (const int64_t bits : {2, 4, 8}) {
    add_kernel(row, concat("uniform ", bits, " bits, 64 MB"),
               measure_uniform_on(kGpu, kBytes, bits, rounds));
  }
  add_kernel(row, "nearest of 16 points, 64 MB", measure_points_on(kGpu, kBytes, 16, rounds));
  add_own_stream(row);
  for (const std::string& student : split_list(options.students)) {
    for (const char* batch : {"32", "256"}) add_step(row, options, student, batch);
  }
  return row;
}

}  // namespace bitstill
