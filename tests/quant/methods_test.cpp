// All methods and options of the quantizer behind its one interface.
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <numeric>

#include "bitstill/base/error.hpp"
#include "bitstill/base/random.hpp"
#include "bitstill/quant/quantizer.hpp"
#include "bitstill/quant/redistribution.hpp"

namespace bitstill {
namespace {

std::vector<float> normal_values(std::size_t count, uint64_t seed) {
  RandomStream stream(seed, StreamPurpose::initialization);
  std::vector<float> values(count);
  for (float& value : values) {
    float sum = -6;
    for (int i = 0; i < 12; ++i) sum += stream.uniform();
    value = 0.05f * sum;
  }
  return values;
}

QuantOptions options_of(QuantMethod method, int64_t bits = 2, int64_t bucket = 256) {
  QuantOptions options;
  options.method = method;
  options.bits = bits;
  options.bucket = bucket;
  return options;
}

/// Every method, and what each option changes of it.
std::vector<QuantOptions> all_options() {
  std::vector<QuantOptions> all;
  for (const QuantMethod method : {QuantMethod::uniform, QuantMethod::points, QuantMethod::joint,
                                   QuantMethod::lsq, QuantMethod::kmeans}) {
    for (const int64_t bits : {2, 4, 8}) all.push_back(options_of(method, bits, 100));
    all.push_back(options_of(method, 3, 0));
  }
  const auto with = [&](QuantMethod method, const auto& change) {
    all.push_back(options_of(method, 3, 64));
    change(all.back());
    EXPECT_NO_THROW(check(all.back()));
  };
  for (const QuantMethod method : {QuantMethod::uniform, QuantMethod::joint, QuantMethod::kmeans}) {
    with(method, [](QuantOptions& o) { o.points = 5; });
    with(method, [](QuantOptions& o) { o.clip = 0.04; });
    with(method, [](QuantOptions& o) { o.subtract_mean = true; });
    with(method, [](QuantOptions& o) { o.range = BucketRange::error; });
    with(method, [](QuantOptions& o) { o.scales = ScaleType::fp16; });
    with(method, [](QuantOptions& o) { o.scales = ScaleType::bf16; });
  }
  with(QuantMethod::uniform, [](QuantOptions& o) { o.scaling = Scaling::absmax; });
  with(QuantMethod::uniform, [](QuantOptions& o) {
    o.scaling = Scaling::absnorm;
    o.rounding = Rounding::stochastic;
  });
  with(QuantMethod::uniform, [](QuantOptions& o) { o.gradient = QuantGradient::truncated; });
  with(QuantMethod::uniform, [](QuantOptions& o) { o.gradient = QuantGradient::range; });
  with(QuantMethod::lsq, [](QuantOptions& o) { o.step_size = StepSize::channel; });
  with(QuantMethod::lsq, [](QuantOptions& o) { o.step_size = StepSize::bucket; });
  return all;
}

struct Case {
  explicit Case(const QuantOptions& options)
      : segments(layout(options)),
        masters(normal_values(static_cast<std::size_t>(segments.back().offset + 1504), 3)),
        quantizer(make_quantizer(options, segments, 4)) {
    masters[700] += 0.5f;  // an outlier
    quantizer->start(masters.data());
  }

  static std::vector<Segment> layout(const QuantOptions& options) {
    std::vector<Segment> segments;
    int64_t offset = 0;
    for (const std::vector<int64_t>& shape :
         std::vector<std::vector<int64_t>>{{6, 3, 5, 5}, {33}, {7, 31}, {16, 94}}) {
      const std::string name = "t" + std::to_string(segments.size());
      const int64_t count =
          std::accumulate(shape.begin(), shape.end(), int64_t{1}, std::multiplies<>());
      segments.push_back({name, shape, offset, count, points_of(options, name, shape)});
      offset = (offset + count + 15) / 16 * 16;
    }
    return segments;
  }

  std::vector<float> shadows(int64_t step = 9) const {
    std::vector<float> result(masters.size(), -7);
    quantizer->quantize(masters.data(), result.data(), step);
    return result;
  }

  std::vector<Segment> segments;
  std::vector<float> masters;
  std::unique_ptr<Quantizer> quantizer;
};

TEST(Methods, WhatIsStoredIsWhatWasTrainedWith) {
  for (const QuantOptions& options : all_options()) {
    SCOPED_TRACE(to_json(options).dump());
    Case c(options);
    const std::vector<float> shadows = c.shadows();
    int quantized = 0;
    for (const Segment& segment : c.segments) {
      if (!segment.quantized()) continue;
      ++quantized;
      const QuantizedTensor tensor = c.quantizer->encode(segment, c.masters.data(), 9);
      EXPECT_EQ(static_cast<int64_t>(tensor.points.size()), segment.points);
      EXPECT_EQ(tensor.bucket, bucket_of(options, segment.shape));
      std::vector<float> decoded(static_cast<std::size_t>(segment.count));
      decode(tensor, decoded.data());
      for (int64_t i = 0; i < segment.count; ++i) {
        ASSERT_EQ(std::bit_cast<uint32_t>(decoded[static_cast<std::size_t>(i)]),
                  std::bit_cast<uint32_t>(shadows[static_cast<std::size_t>(segment.offset + i)]))
            << segment.name << " " << i;
      }
    }
    EXPECT_GE(quantized, 1);
  }
}

/// The bucket's scale, from the definitions of the paper.
double scale_by_definition(Scaling scaling, const std::vector<float>& values) {
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  if (scaling == Scaling::linear) return *high - *low;
  if (scaling == Scaling::absmax) return std::max(std::abs(*low), std::abs(*high));
  return std::sqrt(std::inner_product(values.begin(), values.end(), values.begin(), 0.0));
}

/// Over many steps every weight has the mean v and the variance f (1 - f) u^2, u the distance of
/// two points and f where v lies between them: each within five standard deviations.
TEST(Methods, StochasticRoundingHasTheRightMeanAndVariance) {
  constexpr int64_t kSteps = 10000, kCount = 40;
  const std::vector<float> masters = normal_values(kCount, 12);
  const double lowest = *std::min_element(masters.begin(), masters.end());
  for (const Scaling scaling : {Scaling::linear, Scaling::absmax, Scaling::absnorm}) {
    for (const int64_t bits : {2, 4, 8}) {
      SCOPED_TRACE(testing::Message() << scaling << " " << bits);
      QuantOptions options = options_of(QuantMethod::uniform, bits, kCount);
      options.scaling = scaling;
      options.rounding = Rounding::stochastic;
      const std::vector<int64_t> shape = {kCount};
      const auto quantizer = make_quantizer(
          options, {{"weights", shape, 0, kCount, points_of(options, "weights", shape)}}, 6);
      std::vector<double> sum(kCount), squares(kCount);  // of w - v
      std::vector<float> shadows(kCount);
      for (int64_t step = 0; step < kSteps; ++step) {
        quantizer->quantize(masters.data(), shadows.data(), step);
        for (std::size_t i = 0; i < kCount; ++i) {
          const double error = static_cast<double>(shadows[i]) - masters[i];
          sum[i] += error;
          squares[i] += error * error;
        }
      }
      const bool linear = options.scaling == Scaling::linear;
      const double intervals = std::exp2(linear ? bits : bits - 1) - 1;
      const double unit = scale_by_definition(scaling, masters) / intervals;
      for (std::size_t i = 0; i < kCount; ++i) {
        const double t = (linear ? masters[i] - lowest : std::abs(masters[i])) / unit;
        const double f = t - std::floor(t), variance = f * (1 - f);
        // Of the squared error, which is f^2 or (1 - f)^2.
        const double spread = variance * (1 - 2 * f) * (1 - 2 * f);
        EXPECT_NEAR(sum[i] / kSteps / unit, 0, 5 * std::sqrt(variance / kSteps) + 1e-4) << i;
        EXPECT_NEAR(squares[i] / kSteps / unit / unit, variance,
                    5 * std::sqrt(spread / kSteps) + 1e-4)
            << i;
      }
    }
  }
}

/// dL/dlearned of L = sum g_i w_i with assignments held equals the change of the shadows.
TEST(Methods, LearnedGradientsEqualDifferencesWithAssignmentsHeld) {
  for (const QuantMethod method : {QuantMethod::points, QuantMethod::joint, QuantMethod::kmeans}) {
    for (const int64_t bits : {1, 2, 4}) {
      SCOPED_TRACE(testing::Message() << method << " " << bits);
      Case c(options_of(method, bits, 50));
      std::vector<float> gradients = normal_values(c.masters.size(), 8);
      std::vector<float> learned(c.quantizer->learned().size());
      std::vector<double> want(learned.size(), 0);
      std::size_t run = 0;
      for (const Segment& segment : c.segments) {
        const QuantizedTensor tensor = c.quantizer->encode(segment, c.masters.data(), 0);
        const auto first = static_cast<std::size_t>(c.quantizer->learned_runs()[run++].offset);
        for (std::size_t i = 0; i < tensor.codes.size(); ++i) {
          want[first + tensor.codes[i]] +=
              static_cast<double>(tensor.alpha[i / static_cast<std::size_t>(tensor.bucket)]) *
              gradients[static_cast<std::size_t>(segment.offset) + i];
        }
      }
      c.quantizer->backward(c.masters.data(), 0, gradients.data(), learned.data());
      for (std::size_t j = 0; j < learned.size(); ++j) EXPECT_NEAR(learned[j], want[j], 1e-4) << j;
    }
  }
}

/// The masters' gradient of joint training, whichever way it is computed: with the points' and
/// alone, by the fused kernel and (with half scales) by codes.
TEST(Methods, JointClipsTheGradientBeyondTheOutermostPoints) {
  for (const ScaleType scales : {ScaleType::fp32, ScaleType::fp16}) {
    for (const bool clips : {true, false}) {
      for (const bool learns : {true, false}) {
        SCOPED_TRACE(testing::Message() << scales << " " << clips << " " << learns);
        QuantOptions options = options_of(QuantMethod::joint, 2, 50);
        options.scales = scales;
        options.clip_gradient = clips;
        Case c(options);
        const std::vector<float> before = normal_values(c.masters.size(), 8);
        std::vector<float> gradients = before, learned(c.quantizer->learned().size());
        c.quantizer->backward(c.masters.data(), 0, gradients.data(),
                              learns ? learned.data() : nullptr);
        int beyond = 0;
        for (const Segment& segment : c.segments) {
          if (!segment.quantized()) continue;
          const QuantizedTensor tensor = c.quantizer->encode(segment, c.masters.data(), 0);
          for (int64_t i = 0; i < segment.count; ++i) {
            const auto b = static_cast<std::size_t>(i / tensor.bucket);
            const auto at = static_cast<std::size_t>(segment.offset + i);
            const float low = tensor.points.front() * tensor.alpha[b] + tensor.beta[b];
            const float high = tensor.points.back() * tensor.alpha[b] + tensor.beta[b];
            const bool outside = c.masters[at] < low || c.masters[at] > high;
            beyond += outside ? 1 : 0;
            EXPECT_EQ(gradients[at], clips && outside ? 0.0f : before[at]) << segment.name << i;
          }
        }
        EXPECT_GT(beyond, 10);  // points start inside the range
      }
    }
  }
}

TEST(Methods, LsqGradientsAreTheFormulas) {
  for (const StepSize step_size : {StepSize::tensor, StepSize::channel, StepSize::bucket}) {
    QuantOptions options = options_of(QuantMethod::lsq, 3, 50);
    options.step_size = step_size;
    Case c(options);
    const std::vector<float> before = normal_values(c.masters.size(), 8);
    std::vector<float> gradients = before, learned(c.quantizer->learned().size());
    c.quantizer->backward(c.masters.data(), 0, gradients.data(), learned.data());
    for (std::size_t t = 0; t < c.segments.size(); ++t) {
      const Segment& segment = c.segments[t];
      if (!segment.quantized()) continue;
      const auto run =
          std::find_if(c.quantizer->learned_runs().begin(), c.quantizer->learned_runs().end(),
                       [&](const LearnedRun& r) { return r.name == segment.name; });
      const int64_t bucket = bucket_of(options, segment.shape);
      for (int64_t b = 0; b < run->count; ++b) {
        const double d = c.quantizer->learned()[static_cast<std::size_t>(run->offset + b)];
        const int64_t end = std::min(segment.count, (b + 1) * bucket);
        double sum = 0;
        for (int64_t i = b * bucket; i < end; ++i) {
          const auto at = static_cast<std::size_t>(segment.offset + i);
          const double x = c.masters[at] / d;
          const bool inside = x > -4 && x < 3;
          sum += before[at] * (inside ? std::nearbyint(x) - x : (x < 0 ? -4.0 : 3.0));
          EXPECT_EQ(gradients[at], inside ? before[at] : 0.0f);
        }
        sum /= std::sqrt(static_cast<double>(end - b * bucket) * 3);
        EXPECT_NEAR(learned[static_cast<std::size_t>(run->offset + b)], sum, 1e-5);
      }
    }
  }
}

TEST(Methods, NeitherShadowsNorGradientsDependOnThreads) {
  QuantOptions options = options_of(QuantMethod::joint, 4, 256);
  const int64_t count = 3'000'017;
  const auto quantizer = make_quantizer(options, {{"w", {count}, 0, count, 16}}, 1);
  const std::vector<float> masters = normal_values(static_cast<std::size_t>(count), 1);
  quantizer->start(masters.data());
  const int before = at::get_num_threads();
  std::vector<std::vector<float>> shadows, learned;
  for (const int threads : {1, 3}) {
    at::set_num_threads(threads);
    shadows.emplace_back(masters.size());
    quantizer->quantize(masters.data(), shadows.back().data(), 0);
    std::vector<float> gradients = masters;
    learned.emplace_back(16);
    quantizer->backward(masters.data(), 0, gradients.data(), learned.back().data());
  }
  at::set_num_threads(before);
  EXPECT_EQ(shadows[0], shadows[1]);
  EXPECT_EQ(learned[0], learned[1]);
}

TEST(Methods, SettlingSortsThePointsAndSaysWhereFrom) {
  Case c(options_of(QuantMethod::points, 2));
  std::vector<float>& learned = c.quantizer->learned();
  const std::vector<float> swapped = {0.5f, 0.1f, 0.9f, 0.1f};
  std::copy(swapped.begin(), swapped.end(), learned.begin());
  const auto from = c.quantizer->settle();
  EXPECT_EQ(std::vector<float>(learned.begin(), learned.begin() + 4),
            (std::vector<float>{0.1f, 0.1f, 0.5f, 0.9f}));
  EXPECT_EQ(std::vector<int64_t>(from.begin(), from.begin() + 4),
            (std::vector<int64_t>{1, 3, 0, 2}));
  learned[1] = NAN;
  EXPECT_THROW(c.quantizer->settle(), Error);
}

TEST(Methods, TheErrorMinimizingRangeIsNeverWorse) {
  double plain = 0, least = 0;
  for (const BucketRange range : {BucketRange::minmax, BucketRange::error}) {
    QuantOptions options = options_of(QuantMethod::uniform, 2, 256);
    options.range = range;
    Case c(options);
    const auto shadows = c.shadows();
    double sum = 0;
    for (const Segment& segment : c.segments) {
      for (auto i = static_cast<std::size_t>(segment.offset);
           i < static_cast<std::size_t>(segment.offset + segment.count); ++i) {
        sum += std::pow(static_cast<double>(c.masters[i]) - shadows[i], 2);
      }
    }
    (options.range == BucketRange::error ? least : plain) = sum;
  }
  EXPECT_LT(least, 0.8 * plain);
}

TEST(Methods, HalfScalesCoverTheRange) {
  for (const ScaleType type : {ScaleType::fp16, ScaleType::bf16}) {
    QuantOptions options = options_of(QuantMethod::uniform, 8, 64);
    options.scales = type;
    Case c(options);
    for (const Segment& segment : c.segments) {
      const QuantizedTensor tensor = c.quantizer->encode(segment, c.masters.data(), 0);
      for (int64_t i = 0; i < segment.count; ++i) {
        const auto b = static_cast<std::size_t>(i / tensor.bucket);
        const float value = c.masters[static_cast<std::size_t>(segment.offset + i)];
        EXPECT_LE(tensor.beta[b], value);
        EXPECT_GE(static_cast<double>(tensor.beta[b]) + tensor.alpha[b], value - 1e-7);
      }
    }
  }
}

TEST(Rules, TheFirstMatchCounts) {
  QuantOptions options = options_of(QuantMethod::uniform, 4);
  options.rules = "0.weight:8,*.bias:none,1*:5p";
  EXPECT_EQ(points_of(options, "0.weight", {1000}), 256);
  EXPECT_EQ(points_of(options, "0.bias", {1000}), 0);
  EXPECT_EQ(points_of(options, "12.weight", {1000}), 5);
  EXPECT_EQ(points_of(options, "4.weight", {1000}), 16);
  for (const char* bad : {"x", ":4", "a:9", "a:1p", "a:p", "a:300p", "a:-1"}) {
    options.rules = bad;
    EXPECT_THROW(check(options), Error) << bad;
  }
  EXPECT_EQ(points_of(options_of(QuantMethod::points, 8), "w", {20}),
            10);  // at most half of the values
  EXPECT_EQ(points_of(options_of(QuantMethod::points, 4), "w", {1000}), 16);
}

TEST(Redistribution, KeepsTheTotalAndItsLimits) {
  const std::vector<PointShare> tensors = {
      {1000, 16, 3.0}, {8, 4, 50.0}, {100000, 16, 1.0}, {5000, 16, 0.0}};
  const auto points = redistribute_points(tensors);
  EXPECT_EQ(std::accumulate(points.begin(), points.end(), int64_t{0}), 52);
  EXPECT_EQ(points[1], 4);  // at most half of its 8 values
  EXPECT_EQ(points[3], 8);  // half of its own, nothing for no gradient
  EXPECT_GT(points[0], points[2]);
  const auto by_bytes = redistribute_bytes(tensors);
  double before = 0, after = 0;
  for (std::size_t t = 0; t < tensors.size(); ++t) {
    EXPECT_GE(by_bytes[t], 2);
    before += static_cast<double>(tensors[t].weights) * std::log2(tensors[t].points);
    after += static_cast<double>(tensors[t].weights) * std::log2(by_bytes[t]);
  }
  EXPECT_LE(after, before * (1 + 1e-9));
  EXPECT_GT(after, 0.9 * before);
}

TEST(QuantOptions, GoThroughJsonUnchanged) {
  for (const QuantOptions& options : all_options()) {
    EXPECT_EQ(to_json(quant_options_from_json(to_json(options), "file")), to_json(options));
  }
  EXPECT_THROW(quant_options_from_json({{"method", "magic"}}, "file"), Error);
  EXPECT_THROW(quant_options_from_json({{"bits", "two"}}, "file"), Error);
}

}  // namespace
}  // namespace bitstill
