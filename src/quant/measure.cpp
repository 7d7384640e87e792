#include "bitstill/quant/measure.hpp"

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/amax.h>
#include <ATen/ops/amin.h>
#include <ATen/ops/argmin.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/rand.h>
#include <ATen/ops/rand_like.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <functional>
#include <memory>
#include <vector>

#include "bitstill/base/random.hpp"
#include "bitstill/quant/points_kernel.hpp"
#include "bitstill/quant/quantizer.hpp"

namespace bitstill {
namespace {

constexpr int64_t kBucket = 256;
constexpr double kRoundSeconds = 4e-3;  // a kernel runs at least this long each round

double now_s() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// What a user of LibTorch writes: one operation after the other on rows of a bucket.
at::Tensor uniform_by_operations(const at::Tensor& rows, double last) {
  const at::Tensor low = at::amin(rows, 1, true);
  const at::Tensor alpha = at::amax(rows, 1, true).sub(low).clamp_min(1e-10);
  return rows.sub(low).div(alpha).mul(last).round().div(last).mul(alpha).add(low);
}

at::Tensor codes_by_operations(const at::Tensor& scaled, const at::Tensor& points) {
  return at::argmin(scaled.unsqueeze(-1).sub(points).abs_(), -1);
}

at::Tensor points_by_operations(const at::Tensor& rows, const at::Tensor& points) {
  const at::Tensor low = at::amin(rows, 1, true);
  const at::Tensor alpha = at::amax(rows, 1, true).sub(low).clamp_min(1e-10);
  const at::Tensor codes = codes_by_operations(rows.sub(low).div(alpha), points);
  return points.take(codes).mul(alpha).add(low);
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

/// Masters of whole buckets and where their shadows go.
struct Buffers {
  explicit Buffers(int64_t bytes)
      : count(bytes / static_cast<int64_t>(sizeof(float)) / kBucket * kBucket),
        masters(at::empty({count / kBucket, kBucket})),
        shadows(at::empty({count / kBucket, kBucket})),
        in(masters.mutable_data_ptr<float>()),
        out(shadows.mutable_data_ptr<float>()) {
    RandomStream stream(1, StreamPurpose::initialization);
    std::generate_n(in, count, [&] { return stream.uniform() - 0.5f; });
  }
  void copy() { std::memcpy(out, in, static_cast<std::size_t>(count) * sizeof(float)); }

  int64_t count;
  at::Tensor masters, shadows;
  float *in, *out;
};

/// Measures kernels in turn, `rounds` times.
std::vector<KernelTime> measure(const std::vector<std::function<void()>>& kernels, int64_t count,
                                int rounds) {
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
  std::vector<KernelTime> times;
  for (auto& each : seconds) {
    times.push_back(summary(std::move(each), count * static_cast<int64_t>(sizeof(float))));
  }
  return times;
}

/// Of one tensor of `count` weights.
std::unique_ptr<Quantizer> quantizer_of(QuantMethod method, int64_t points, int64_t count) {
  QuantOptions options;
  options.method = method;
  options.bucket = kBucket;
  return make_quantizer(options, {{"weights", {count}, 0, count, points}}, 1);
}

}  // namespace

KernelTimes measure_uniform(int64_t bytes, int64_t bits, int rounds) {
  const ThreadCount one(1);
  Buffers buffers(bytes);
  const auto quantizer = quantizer_of(QuantMethod::uniform, int64_t{1} << bits, buffers.count);
  const auto times =
      measure({[&] { quantizer->quantize(buffers.in, buffers.out, 0); }, [&] { buffers.copy(); },
               [&] { uniform_by_operations(buffers.masters, std::exp2(bits) - 1); }},
              buffers.count, rounds);
  return {times[0], times[1], times[2]};
}

KernelTimes measure_points(int64_t bytes, int points, int rounds) {
  const ThreadCount one(1);
  Buffers buffers(bytes);
  const at::Tensor values = std::get<0>(at::rand({points}).sort());
  const auto quantizer = quantizer_of(QuantMethod::points, points, buffers.count);
  std::copy_n(values.const_data_ptr<float>(), points, quantizer->learned().begin());
  const auto times =
      measure({[&] { quantizer->quantize(buffers.in, buffers.out, 0); }, [&] { buffers.copy(); },
               [&] { points_by_operations(buffers.masters, values); }},
              buffers.count, rounds);
  return {times[0], times[1], times[2]};
}

KernelTimes measure_points_gradient(int64_t bytes, int points, int rounds) {
  const ThreadCount one(1);
  Buffers buffers(bytes);
  const at::Tensor values = std::get<0>(at::rand({points}).sort());
  const at::Tensor gradients = at::rand_like(buffers.masters).sub_(0.5);
  const PointsRun run{buffers.in, buffers.count, kBucket, values.const_data_ptr<float>(), points};
  const int64_t blocks = gradient_blocks(buffers.count, kBucket);
  std::vector<float> sums(static_cast<std::size_t>(blocks * points));
  std::vector<float> gradient(static_cast<std::size_t>(points));
  const auto fused = [&] {
    points_gradient(run, gradients.const_data_ptr<float>(), sums.data());
    add_blocks(sums.data(), blocks, points, gradient.data());
  };
  const auto operations = [&] {
    const at::Tensor low = at::amin(buffers.masters, 1, true);
    const at::Tensor alpha = at::amax(buffers.masters, 1, true).sub(low).clamp_min(1e-10);
    const at::Tensor codes = codes_by_operations(buffers.masters.sub(low).div(alpha), values);
    at::zeros({points}).index_add_(0, codes.flatten(), gradients.mul(alpha).flatten());
  };
  const auto times = measure({fused, [&] { buffers.copy(); }, operations}, buffers.count, rounds);
  return {times[0], times[1], times[2]};
}

}  // namespace bitstill
