// Uniform points (the paper's quantized distillation), with all its scalings and gradients.
#include <cmath>

#include "bitstill/base/random.hpp"
#include "bitstill/quant/cuda_kernel.hpp"
#include "bitstill/quant/master_gradient.hpp"
#include "bitstill/quant/uniform_kernel.hpp"
#include "scaled_tensor.hpp"

namespace bitstill {
namespace {

class UniformTensor final : public ScaledTensor {
 public:
  UniformTensor(const QuantOptions& options, const Segment& segment, std::array<uint32_t, 2> key)
      : ScaledTensor(options, segment), key_(key), signed_(options.scaling != Scaling::linear) {}

  using ScaledTensor::quantize;
  std::vector<float> points() const override {
    // Signed: -1, ..., 0, ..., 1. Otherwise 0, ..., 1.
    const auto last = static_cast<float>(signed_ ? (segment_.points - 1) / 2 : segment_.points - 1);
    const float first = signed_ ? -last : 0;
    std::vector<float> table;
    for (int64_t j = 0; j < segment_.points; ++j) {
      table.push_back((first + static_cast<float>(j)) / last + 0.0f);
    }
    return table;
  }

  void backward(const Piece& masters, float* gradients, float*) const override {
    if (options_.gradient == QuantGradient::truncated) {
      truncated_gradient(masters.masters, masters.count, gradients);
    } else if (options_.gradient == QuantGradient::range) {
      const Coded coded = ScaledTensor::encode(masters);
      const std::vector<float> table = points();
      range_gradient({coded.codes.data(), masters.count, bucket_, table.data(), coded.alpha.data(),
                      coded.beta.data()},
                     masters.masters, gradients);
    }
  }

  void quantize(const DevicePass& pass, float* shadows) const override {
    cuda_quantize_uniform(run_of({{}, 0, segment_.count, pass.step, 0}, pass.masters),
                          {.shadows = shadows, .bad = pass.bad}, pass.stream);
  }
  void backward(const DevicePass&, float*, float*) const override {}  // straight through

 private:
  UniformRun run_of(const Piece& piece, const float* values) const {
    UniformRun run;
    run.masters = values;
    run.count = piece.count;
    run.bucket = bucket_;
    run.points = static_cast<int>(segment_.points);
    run.stochastic = options_.rounding == Rounding::stochastic;
    run.key = key_;
    run.step = static_cast<uint64_t>(piece.step);
    run.first = static_cast<uint64_t>(segment_.offset + piece.begin);
    return run;
  }

  int64_t run_fused(const Piece& piece, bool stream, float* shadows) const override {
    return quantize_uniform(run_of(piece, piece.masters), stream, shadows);
  }

  int64_t run_codes(const Piece& piece, const float* values, bool given, uint8_t* codes,
                    float* alpha, float* beta) const override {
    UniformRun run = run_of(piece, values);
    if (given) run.alpha = alpha;
    if (given) run.beta = beta;
    return signed_ ? run_signed(run, codes) : encode_uniform(run, codes, alpha, beta);
  }

  /// x = |v| / alpha goes to the nearest (or randomly chosen) of j / L; the code is sign j + L.
  int64_t run_signed(const UniformRun& run, uint8_t* codes) const {
    const auto last = static_cast<float>((segment_.points - 1) / 2);
    for (int64_t i = 0; i < run.count; ++i) {
      const float alpha = run.alpha[i / bucket_];
      if (!std::isfinite(alpha)) return i / bucket_;
      const float scaled = std::min(std::abs(run.masters[i]) / alpha, 1.0f) * last;
      float level = std::nearbyint(scaled);
      if (run.stochastic) {
        level = std::floor(scaled);
        level += random_number(run, i) < scaled - level ? 1 : 0;
      }
      codes[i] = static_cast<uint8_t>(std::copysign(level, run.masters[i]) + last);
    }
    return -1;
  }

  static float random_number(const UniformRun& run, int64_t i) {
    const uint64_t index = run.first + static_cast<uint64_t>(i), block = index / 4;
    const auto words =
        philox({static_cast<uint32_t>(block), static_cast<uint32_t>(run.step),
                static_cast<uint32_t>(run.step >> 32), static_cast<uint32_t>(block >> 32)},
               run.key);
    return static_cast<float>(words[index % 4] >> 8) * 0x1p-24f;
  }

  std::array<uint32_t, 2> key_;
  bool signed_;
};

}  // namespace

std::unique_ptr<TensorQuantizer> make_uniform_tensor(const QuantOptions& options,
                                                     const Segment& segment,
                                                     std::array<uint32_t, 2> key) {
  return std::make_unique<UniformTensor>(options, segment, key);
}

}  // namespace bitstill
