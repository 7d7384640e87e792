#include "bitstill/quant/measure.hpp"

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/amax.h>
#include <ATen/ops/amin.h>
#include <ATen/ops/empty.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <functional>
#include <vector>

#include "bitstill/base/random.hpp"
#include "bitstill/quant/quantizer.hpp"

namespace bitstill {
namespace {

constexpr int64_t kBucket = 256;
constexpr double kRoundSeconds = 4e-3;  // a kernel runs at least this long each round

double now_s() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// What a user of LibTorch writes: one operation after the other on rows of a bucket.
at::Tensor quantize_by_operations(const at::Tensor& rows, double last) {
  const at::Tensor low = at::amin(rows, 1, true);
  const at::Tensor alpha = at::amax(rows, 1, true).sub(low).clamp_min(1e-10);
  return rows.sub(low).div(alpha).mul(last).round().div(last).mul(alpha).add(low);
}

KernelTime summary(std::vector<double> seconds, int64_t bytes) {
  std::sort(seconds.begin(), seconds.end());
  return {seconds[seconds.size() / 2], seconds.front(), bytes};
}

/// Sets LibTorch's thread count for a scope.
class ThreadCount {
 public:
  explicit ThreadCount(int count) : before_(at::get_num_threads()) { at::set_num_threads(count); }
  ~ThreadCount() { at::set_num_threads(before_); }
  ThreadCount(const ThreadCount&) = delete;
  ThreadCount& operator=(const ThreadCount&) = delete;

 private:
  int before_;
};

}  // namespace

UniformTimes measure_uniform(int64_t bytes, int64_t bits, int rounds) {
  const ThreadCount one(1);
  const int64_t count = bytes / static_cast<int64_t>(sizeof(float)) / kBucket * kBucket;
  const at::Tensor masters = at::empty({count / kBucket, kBucket});
  const at::Tensor shadows = at::empty({count / kBucket, kBucket});
  float* const in = masters.mutable_data_ptr<float>();
  float* const out = shadows.mutable_data_ptr<float>();
  RandomStream stream(1, StreamPurpose::initialization);
  std::generate_n(in, count, [&] { return stream.uniform() - 0.5f; });
  QuantOptions options;
  options.method = "uniform";
  options.bits = bits;
  options.bucket = kBucket;
  const auto quantizer =
      make_quantizer(options, {{"weights", {count}, 0, count, int64_t{1} << bits}}, 1);

  const std::vector<std::function<void()>> kernels = {
      [&] { quantizer->quantize(in, out, 0); },
      [&] { std::memcpy(out, in, static_cast<std::size_t>(count) * sizeof(float)); },
      [&] { quantize_by_operations(masters, std::exp2(bits) - 1); }};
  std::vector<int> passes;  // of each kernel in a round
  for (const auto& kernel : kernels) {
    kernel();  // touches the pages
    const double start = now_s();
    kernel();
    passes.push_back(1 + static_cast<int>(kRoundSeconds / (now_s() - start)));
  }
  std::vector<std::vector<double>> seconds(kernels.size());
  for (int round = 0; round < rounds; ++round) {
    for (std::size_t k = 0; k < kernels.size(); ++k) {
      for (int pass = 0; pass < passes[k]; ++pass) {  // timed apart: few passes are interrupted
        const double start = now_s();
        kernels[k]();
        seconds[k].push_back(now_s() - start);
      }
    }
  }
  const int64_t used = count * static_cast<int64_t>(sizeof(float));
  return {summary(seconds[0], used), summary(seconds[1], used), summary(seconds[2], used)};
}

}  // namespace bitstill
