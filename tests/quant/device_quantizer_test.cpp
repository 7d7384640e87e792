// The quantizer over flat buffers on a device against the one on the host: equal bits, equal
// errors.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "../../src/quant/flat_quantizer.hpp"
#include "bitstill/base/error.hpp"
#include "cuda_cases.hpp"
#include "kernel_cases.hpp"

namespace bitstill {
namespace {

QuantOptions options_of(QuantMethod method, int64_t bits, int64_t bucket) {
  QuantOptions options;
  options.method = method;
  options.bits = bits;
  options.bucket = bucket;
  return options;
}

std::vector<QuantOptions> supported_options() {
  std::vector<QuantOptions> all;
  for (int64_t bits = 1; bits <= 8; ++bits) {
    const int64_t bucket = bits % 3 == 0 ? 0 : 10 * bits + 200;
    for (const QuantMethod method :
         {QuantMethod::uniform, QuantMethod::points, QuantMethod::joint, QuantMethod::kmeans}) {
      all.push_back(options_of(method, bits, bucket));
    }
    all.push_back(options_of(QuantMethod::uniform, bits, bucket));
    all.back().rounding = Rounding::stochastic;
    all.push_back(options_of(QuantMethod::joint, bits, bucket));
    all.back().clip_gradient = false;
    for (const StepSize step_size : {StepSize::tensor, StepSize::channel, StepSize::bucket}) {
      if (bits == 1) continue;
      all.push_back(options_of(QuantMethod::lsq, bits, bucket));
      all.back().step_size = step_size;
    }
  }
  return all;
}

std::vector<QuantOptions> unsupported_options() {
  std::vector<QuantOptions> all(7, options_of(QuantMethod::uniform, 4, 256));
  all[0].scaling = Scaling::absmax;
  all[1].range = BucketRange::error;
  all[2].scales = ScaleType::bf16;
  all[3].clip = 0.3;
  all[4].subtract_mean = true;
  all[5].gradient = QuantGradient::truncated;
  all[6].gradient = QuantGradient::range;
  all.push_back(options_of(QuantMethod::joint, 4, 256));
  all.back().scales = ScaleType::fp16;
  return all;
}

/// Two quantized tensors, one of them first, and others around the second; gaps between them.
std::vector<Segment> segments_of(const QuantOptions& options) {
  int64_t points = int64_t{1} << options.bits;
  if (options.scaling != Scaling::linear) --points;
  return {{"first", {10, 77}, 0, 770, points},
          {"bias", {13}, 784, 13, 0},
          {"second", {9, 1001}, 800, 9009, points},
          {"last", {5}, 9824, 5, 0}};
}

constexpr std::size_t kFlat = 9840;

class Pair {
 public:
  explicit Pair(const QuantOptions& options)
      : host_(make_quantizer(options, segments_of(options), 21)),
        device_(make_device_quantizer(options, segments_of(options), 21, kDevice)),
        masters_(make_values(0, kFlat)),
        device_masters_(masters_) {
    host_->start(masters_.data());
    device_->start(masters_.data());
  }

  void expect_equal_passes(int64_t step) {
    std::vector<float> shadows(kFlat, -77.0f), gradients = make_gradients(kFlat, 3);
    OnDevice<float> got(shadows), got_gradients(gradients);
    host_->quantize(masters_.data(), shadows.data(), step);
    device_->quantize(device_masters_.data(), got.data(), step);
    const auto values = [&](const std::vector<float>& flat) {
      return bits_of({flat.begin(), flat.begin() + 9829});  // the last segment's end
    };
    ASSERT_EQ(values(shadows), values(got.values()));

    std::vector<float> learned(host_->learned().size(), -77.0f), got_learned = learned;
    host_->backward(masters_.data(), step, gradients.data(), learned.data());
    device_->backward(device_masters_.data(), step, got_gradients.data(), got_learned.data());
    ASSERT_EQ(bits_of(gradients), bits_of(got_gradients.values()));
    ASSERT_EQ(bits_of(learned), bits_of(got_learned));
    host_->backward(masters_.data(), step, gradients.data(), nullptr);
    device_->backward(device_masters_.data(), step, got_gradients.data(), nullptr);
    ASSERT_EQ(bits_of(gradients), bits_of(got_gradients.values()));
  }

  void move_learned() {
    for (Quantizer* quantizer : {host_.get(), device_.get()}) {
      for (float& value : quantizer->learned()) value = value * 1.1f + 0.01f;
      quantizer->settle();
    }
  }

  void use_uniform_points() {
    host_->use_uniform_points(true);
    device_->use_uniform_points(true);
  }

  std::string message_of(Quantizer& quantizer, const float* masters, float* shadows) {
    try {
      quantizer.quantize(masters, shadows, 0);
      quantizer.require_good();
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::numbers);
      return error.what();
    }
    return "nothing was thrown";
  }

  void expect_equal_errors() {
    masters_[800 + 5000] = NAN;
    masters_[800 + 9000] = INFINITY;
    OnDevice<float> bad(masters_), shadows(kFlat, 0);
    std::vector<float> host_shadows(kFlat);
    const std::string want = message_of(*host_, masters_.data(), host_shadows.data());
    EXPECT_NE(want.find("second"), std::string::npos);
    EXPECT_EQ(want, message_of(*device_, bad.data(), shadows.data()));
  }

 private:
  std::unique_ptr<Quantizer> host_, device_;
  std::vector<float> masters_;
  OnDevice<float> device_masters_;
};

TEST_F(CudaTest, DeviceQuantizerEqualsHost) {
  for (const QuantOptions& options : supported_options()) {
    SCOPED_TRACE(to_json(options).dump());
    ASSERT_EQ(unsupported_option(options), "");
    Pair pair(options);
    ASSERT_NO_FATAL_FAILURE(pair.expect_equal_passes(0));
    pair.move_learned();
    ASSERT_NO_FATAL_FAILURE(pair.expect_equal_passes(7));
    if (options.method != QuantMethod::points) continue;
    pair.use_uniform_points();
    ASSERT_NO_FATAL_FAILURE(pair.expect_equal_passes(8));
  }
}

TEST_F(CudaTest, OthersGoThroughTheHostAndSaySo) {
  for (const QuantOptions& options : unsupported_options()) {
    SCOPED_TRACE(to_json(options).dump());
    const std::string lacking = unsupported_option(options);
    ASSERT_NE(lacking, "");
    ::testing::internal::CaptureStderr();
    Pair pair(options);
    ASSERT_NO_FATAL_FAILURE(pair.expect_equal_passes(0));
    ASSERT_NO_FATAL_FAILURE(pair.expect_equal_passes(1));
    const std::string said = ::testing::internal::GetCapturedStderr();
    EXPECT_EQ(said.find(lacking), 0) << said;
    EXPECT_EQ(std::count(said.begin(), said.end(), '\n'), 1) << said;  // once, not in every pass
  }
}

TEST_F(CudaTest, ErrorsNameTensorAndBucketAsOnTheHost) {
  for (const QuantMethod method : {QuantMethod::uniform, QuantMethod::joint, QuantMethod::lsq}) {
    QuantOptions options = options_of(method, 4, 256);
    options.step_size = StepSize::bucket;
    Pair(options).expect_equal_errors();
  }
}

}  // namespace
}  // namespace bitstill
