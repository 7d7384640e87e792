// Learned step size (LSQ).
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>

#include <algorithm>
#include <bit>
#include <cmath>

#include "bitstill/base/error.hpp"
#include "bitstill/base/text.hpp"
#include "bitstill/quant/cuda_kernel.hpp"
#include "bitstill/quant/lsq_kernel.hpp"
#include "tensor_quantizer.hpp"

namespace bitstill {
namespace {

constexpr float kSmallestStep = 1e-8f;

class LsqTensor final : public TensorQuantizer {
 public:
  LsqTensor(const QuantOptions& options, const Segment& segment)
      : TensorQuantizer(options, segment),
        bits_(std::bit_width(static_cast<uint64_t>(segment.points)) - 1) {}

  int64_t grain() const override {
    return steps_alone() ? std::min<int64_t>(bucket_, int64_t{1} << 16) : bucket_;
  }

  void quantize(const Piece& piece, bool stream, float* shadows) const override {
    if (const int64_t bad = quantize_lsq(run_of(piece), stream, shadows); bad >= 0) {
      refuse(piece, bad);
    }
  }

  void encode(const Piece& piece, uint8_t* codes, float* alpha, float* beta) const override {
    if (const int64_t bad = encode_lsq(run_of(piece), codes); bad >= 0) refuse(piece, bad);
    std::copy_n(steps_ + piece.begin / bucket_, buckets(piece.count), alpha);
    std::fill_n(beta, buckets(piece.count), 0.0f);
  }

  std::vector<float> points() const override {
    std::vector<float> table;
    for (int64_t j = 0; j < segment_.points; ++j) {
      table.push_back(static_cast<float>(j - segment_.points / 2));
    }
    return table;
  }

  void backward(const Piece& masters, float* gradients, float* learned) const override {
    std::vector<float> unused(static_cast<std::size_t>(learned_count()));
    float* const steps = learned != nullptr ? learned : unused.data();
    lsq_gradient(run_of(masters), gradients, steps);
    finish_learned(steps);
  }

  void finish_learned(float* steps) const override {
    for (int64_t b = 0; b < learned_count(); ++b) {
      const auto n = static_cast<double>(std::min(bucket_, segment_.count - b * bucket_));
      steps[b] = static_cast<float>(steps[b] / std::sqrt(n * largest()));
    }
  }

  const float* learned_in_use() const override { return steps_; }
  void quantize(const DevicePass& pass, float* shadows) const override {
    cuda_quantize_lsq(run_of(pass), {.shadows = shadows, .bad = pass.bad}, pass.stream);
  }
  void backward(const DevicePass& pass, float* gradients, float* learned) const override {
    const auto floats = at::TensorOptions().dtype(at::kFloat).device(pass.device);
    const at::Tensor sums = at::empty({lsq_sums(segment_.count, bucket_)}, floats);
    const at::Tensor unused = at::empty({learned != nullptr ? 0 : learned_count()}, floats);
    cuda_lsq_gradient(run_of(pass), gradients, sums.mutable_data_ptr<float>(),
                      learned != nullptr ? learned : unused.mutable_data_ptr<float>(), pass.stream);
  }

  int64_t learned_count() const override { return buckets(segment_.count); }
  void bind(float* learned) override { steps_ = learned; }

  void start(const Piece& masters) override {
    for (int64_t b = 0; b < learned_count(); ++b) {
      const int64_t begin = b * bucket_, end = std::min(begin + bucket_, masters.count);
      double sum = 0;
      for (int64_t i = begin; i < end; ++i) sum += std::abs(masters.masters[i]);
      if (!std::isfinite(sum)) refuse(masters, b);
      const double mean = sum / static_cast<double>(end - begin);
      steps_[b] = mean > 0 ? static_cast<float>(2 * mean / std::sqrt(largest())) : 1.0f;
      steps_[b] = std::max(steps_[b], kSmallestStep);
    }
  }

  void settle(int64_t*) override {
    for (int64_t b = 0; b < learned_count(); ++b) {
      if (!std::isfinite(steps_[b])) {
        throw Error(ExitCode::numbers,
                    concat("step ", b, " of ", segment_.name, " is not finite; lower quant.rate"));
      }
      steps_[b] = std::max(steps_[b], kSmallestStep);
    }
  }

 private:
  bool steps_alone() const { return bucket_ >= segment_.count; }  // one step for all
  double largest() const { return static_cast<double>(segment_.points / 2 - 1); }  // Qp

  LsqRun run_of(const Piece& piece) const {
    LsqRun run;
    run.masters = piece.masters;
    run.count = piece.count;
    run.bucket = bucket_;
    run.bits = bits_;
    run.steps = steps_ + piece.begin / bucket_;
    return run;
  }

  LsqRun run_of(const DevicePass& pass) const {
    return {pass.masters, segment_.count, bucket_, bits_, pass.learned};
  }

  int bits_;
  float* steps_ = nullptr;
};

}  // namespace

std::unique_ptr<TensorQuantizer> make_lsq_tensor(const QuantOptions& options,
                                                 const Segment& segment) {
  return std::make_unique<LsqTensor>(options, segment);
}

}  // namespace bitstill
