// Learned points: re-assigned at every pass (differentiable quantization, joint training), or with
// the codes fixed at the start (k-means).
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "bitstill/base/error.hpp"
#include "bitstill/base/text.hpp"
#include "bitstill/quant/cuda_kernel.hpp"
#include "bitstill/quant/master_gradient.hpp"
#include "bitstill/quant/points_kernel.hpp"
#include "scaled_tensor.hpp"
#include "share_out.hpp"
#include "start.hpp"

namespace bitstill {
namespace {

/// Work space on a pass's device, whose stream orders its next use.
at::Tensor work_space(const DevicePass& pass, int64_t count, at::ScalarType type) {
  return at::empty({count}, at::TensorOptions().dtype(type).device(pass.device));
}

class PointsTensor : public ScaledTensor {
 public:
  using ScaledTensor::quantize;
  PointsTensor(const QuantOptions& options, const Segment& segment)
      : ScaledTensor(options, segment),
        clips_(options.method == QuantMethod::joint && options.clip_gradient),
        uniform_(start_points(PointStart::uniform, {}, segment.points)) {}

  std::vector<float> points() const override { return {in_use(), in_use() + segment_.points}; }
  int64_t learned_count() const override { return segment_.points; }
  void bind(float* learned) override { learned_ = learned; }
  void use_uniform_points(bool on) override { uniform_on_ = on; }

  void start(const Piece& masters) override {
    PointStart how = options_.start;
    if (how == PointStart::automatic) how = default_start();
    const auto start = start_points(how, scaled(masters), segment_.points);
    std::copy(start.begin(), start.end(), learned_);
  }

  void settle(int64_t* from) override {
    for (int64_t j = 0; j < segment_.points; ++j) {
      if (std::isfinite(learned_[j])) continue;
      throw Error(ExitCode::numbers,
                  concat("point ", j, " of ", segment_.name, " is not finite; lower quant.rate"));
    }
    const std::vector<float> before(learned_, learned_ + segment_.points);
    std::stable_sort(from, from + segment_.points, [&](int64_t a, int64_t b) {
      return before[static_cast<std::size_t>(a)] < before[static_cast<std::size_t>(b)];
    });
    for (int64_t j = 0; j < segment_.points; ++j) {
      learned_[j] = before[static_cast<std::size_t>(from[j])];
    }
  }

  void backward(const Piece& masters, float* gradients, float* learned) const override {
    if (learned == nullptr && !clips_) return;
    if (learned != nullptr && plain_) {
      return add_pieces(masters.count, learned, [&](int64_t begin, int64_t count, float* sums) {
        float* const from = gradients + begin;
        points_gradient(run_of(masters.masters + begin, count), from, sums,
                        clips_ ? from : nullptr);
      });
    }
    const Coded coded = ScaledTensor::encode(masters);
    if (learned != nullptr) add_by_codes(coded, masters, gradients, learned);
    if (!clips_) return;
    clipped_gradient({coded.codes.data(), masters.count, bucket_, in_use(), coded.alpha.data(),
                      coded.beta.data()},
                     static_cast<int>(segment_.points), masters.masters, gradients);
  }

  const float* learned_in_use() const override { return in_use(); }
  void quantize(const DevicePass& pass, float* shadows) const override {
    cuda_quantize_points(run_of(pass), {.shadows = shadows, .bad = pass.bad}, pass.stream);
  }
  void backward(const DevicePass& pass, float* gradients, float* learned) const override {
    if (learned == nullptr && !clips_) return;
    const at::Tensor codes = work_space(pass, segment_.count, at::kByte);
    const at::Tensor scales = work_space(pass, 2 * buckets(segment_.count), at::kFloat);
    auto* const code = codes.mutable_data_ptr<uint8_t>();
    auto* const alpha = scales.mutable_data_ptr<float>();
    float* const beta = alpha + buckets(segment_.count);
    cuda_quantize_points(run_of(pass), {.codes = code, .alpha = alpha, .beta = beta}, pass.stream);
    if (learned != nullptr) add_on_device(pass, code, alpha, gradients, learned);
    if (!clips_) return;
    cuda_clip_gradient({code, segment_.count, bucket_, pass.learned, alpha, beta},
                       static_cast<int>(segment_.points), pass.masters, gradients, pass.stream);
  }

 protected:
  virtual PointStart default_start() const {
    return options_.method == QuantMethod::joint ? PointStart::kmeans : PointStart::quantiles;
  }

  void add_by_codes(const Coded& coded, const Piece& masters, const float* gradients,
                    float* learned) const {
    add_pieces(masters.count, learned, [&](int64_t begin, int64_t count, float* sums) {
      const CodedRun run{coded.codes.data() + begin,
                         count,
                         bucket_,
                         in_use(),
                         coded.alpha.data() + begin / bucket_,
                         coded.beta.data() + begin / bucket_};
      points_gradient(run, static_cast<int>(segment_.points), gradients + begin, sums);
    });
  }

  void add_on_device(const DevicePass& pass, const uint8_t* codes, const float* alpha,
                     const float* gradients, float* learned) const {
    const at::Tensor sums =
        work_space(pass, gradient_blocks(segment_.count, bucket_) * segment_.points, at::kFloat);
    cuda_points_gradient({codes, segment_.count, bucket_, nullptr, alpha, nullptr},
                         static_cast<int>(segment_.points), gradients,
                         sums.mutable_data_ptr<float>(), learned, pass.stream);
  }

  const float* in_use() const { return uniform_on_ ? uniform_.data() : learned_; }
  float* learned_ = nullptr;

 private:
  PointsRun run_of(const float* values, int64_t count) const {
    PointsRun run;
    run.masters = values;
    run.count = count;
    run.bucket = bucket_;
    run.points = in_use();
    run.point_count = static_cast<int>(segment_.points);
    return run;
  }

  PointsRun run_of(const DevicePass& pass) const {
    PointsRun run = run_of(pass.masters, segment_.count);
    run.points = pass.learned;
    return run;
  }

  int64_t run_fused(const Piece& piece, bool stream, float* shadows) const override {
    return quantize_points(run_of(piece.masters, piece.count), stream, shadows);
  }

  int64_t run_codes(const Piece& piece, const float* values, bool given, uint8_t* codes,
                    float* alpha, float* beta) const override {
    PointsRun run = run_of(values, piece.count);
    if (given) run.alpha = alpha;
    if (given) run.beta = beta;
    return encode_points(run, codes, alpha, beta);
  }

  /// The tensor's values scaled to [0, 1], as the assignment sees them.
  std::vector<float> scaled(const Piece& masters) const {
    const Coded coded = ScaledTensor::encode(masters);
    std::vector<float> values(masters.masters, masters.masters + masters.count);
    for (std::size_t i = 0; i < values.size(); ++i) {
      const std::size_t b = i / static_cast<std::size_t>(bucket_);
      values[i] = std::clamp((values[i] - coded.beta[b]) / coded.alpha[b], 0.0f, 1.0f);
    }
    return values;
  }

  template <class Sum>
  void add_pieces(int64_t count, float* learned, const Sum& sum) const {
    constexpr int64_t kPieceValues = 1 << 16;
    const int64_t unit = gradient_piece(bucket_);
    const int64_t size = (kPieceValues + unit - 1) / unit * unit;
    const int64_t blocks = gradient_blocks(count, bucket_),
                  a_piece = gradient_blocks(size, bucket_);
    std::vector<float> sums(static_cast<std::size_t>(blocks * segment_.points));
    share_out((count + size - 1) / size, count, [&](int64_t p) {
      const int64_t begin = p * size;
      sum(begin, std::min(size, count - begin), sums.data() + p * a_piece * segment_.points);
    });
    add_blocks(sums.data(), blocks, static_cast<int>(segment_.points), learned);
  }

  bool clips_;  // the masters' gradient
  std::vector<float> uniform_;
  bool uniform_on_ = false;
};

class KmeansTensor final : public PointsTensor {
 public:
  using PointsTensor::PointsTensor;

  void start(const Piece& masters) override {
    fixed_ = {};  // of other masters
    PointsTensor::start(masters);
    fixed_ = ScaledTensor::encode(masters);
  }
  void settle(int64_t*) override {}  // the codes name the points by position
  void use_uniform_points(bool) override {}

  void quantize(const Piece& piece, bool, float* shadows) const override {
    decode_run(
        {fixed_.codes.data() + piece.begin, piece.count, bucket_, learned_,
         fixed_.alpha.data() + piece.begin / bucket_, fixed_.beta.data() + piece.begin / bucket_},
        shadows);
  }
  void encode(const Piece& piece, uint8_t* codes, float* alpha, float* beta) const override {
    if (fixed_.codes.empty()) return PointsTensor::encode(piece, codes, alpha, beta);
    std::copy_n(fixed_.codes.data() + piece.begin, piece.count, codes);
    std::copy_n(fixed_.alpha.data() + piece.begin / bucket_, buckets(piece.count), alpha);
    std::copy_n(fixed_.beta.data() + piece.begin / bucket_, buckets(piece.count), beta);
  }
  void backward(const Piece& masters, float* gradients, float* learned) const override {
    if (learned != nullptr) add_by_codes(fixed_, masters, gradients, learned);
    std::fill_n(gradients, masters.count, 0.0f);
  }

  void move_to(const c10::Device& device) override {
    const auto copy = [&](auto& values, at::ScalarType type) {
      return at::from_blob(values.data(), {static_cast<int64_t>(values.size())}, type)
          .to(device, type, /*non_blocking=*/false, /*copy=*/true);
    };
    codes_ = copy(fixed_.codes, at::kByte);
    alpha_ = copy(fixed_.alpha, at::kFloat);
    beta_ = copy(fixed_.beta, at::kFloat);
  }
  void quantize(const DevicePass& pass, float* shadows) const override {
    cuda_decode({codes_.const_data_ptr<uint8_t>(), segment_.count, bucket_, pass.learned,
                 alpha_.const_data_ptr<float>(), beta_.const_data_ptr<float>()},
                shadows, pass.stream);
  }
  void backward(const DevicePass& pass, float* gradients, float* learned) const override {
    if (learned != nullptr) {
      add_on_device(pass, codes_.const_data_ptr<uint8_t>(), alpha_.const_data_ptr<float>(),
                    gradients, learned);
    }
    at::from_blob(gradients, {segment_.count}, at::TensorOptions().device(pass.device)).zero_();
  }

 private:
  PointStart default_start() const override { return PointStart::kmeans; }
  Coded fixed_;
  at::Tensor codes_, alpha_, beta_;  // the same on a device
};

}  // namespace

std::unique_ptr<TensorQuantizer> make_points_tensor(const QuantOptions& options,
                                                    const Segment& segment) {
  return std::make_unique<PointsTensor>(options, segment);
}

std::unique_ptr<TensorQuantizer> make_kmeans_tensor(const QuantOptions& options,
                                                    const Segment& segment) {
  return std::make_unique<KmeansTensor>(options, segment);
}

}  // namespace bitstill
