// The quantizer over flat buffers: segments, padding, threads, errors, encoding, sizes, LibTorch.
#include "bitstill/quant/quantizer.hpp"

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/from_blob.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "bitstill/base/error.hpp"
#include "bitstill/base/random.hpp"
#include "bitstill/base/text.hpp"
#include "bitstill/quant/measure.hpp"
#include "bitstill/quant/uniform_kernel.hpp"

namespace bitstill {
namespace {

QuantOptions uniform(int64_t bits, int64_t bucket, Rounding rounding = Rounding::nearest) {
  QuantOptions options;
  options.method = QuantMethod::uniform;
  options.bits = bits;
  options.bucket = bucket;
  options.rounding = rounding;
  return options;
}

std::vector<float> random_values(int64_t count) {
  RandomStream stream(3, StreamPurpose::initialization);
  std::vector<float> values(static_cast<std::size_t>(count));
  for (float& v : values) v = stream.uniform() - 0.5f;
  return values;
}

/// Segments of these sizes, each starting at a multiple of `align`; those of even number quantized.
std::vector<Segment> lay_out(const std::vector<int64_t>& counts, int64_t align) {
  std::vector<Segment> segments;
  int64_t offset = 0;
  for (std::size_t s = 0; s < counts.size(); ++s) {
    segments.push_back({concat("t", s), {counts[s]}, offset, counts[s], s % 2 == 0});
    offset = (offset + counts[s] + align - 1) / align * align;
  }
  return segments;
}

int64_t end_of(const std::vector<Segment>& segments) {
  return segments.back().offset + segments.back().count;
}

template <class Action>
std::string message_of(ExitCode code, const Action& action) {
  try {
    action();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code);
    return error.what();
  }
  ADD_FAILURE() << "nothing was thrown";
  return "";
}

void expect_equal_bits(const float* want, const float* got, int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    ASSERT_EQ(std::bit_cast<uint32_t>(want[i]), std::bit_cast<uint32_t>(got[i])) << i;
  }
}

/// The segments with the options' points where they have any.
std::vector<Segment> pointed(const QuantOptions& options, std::vector<Segment> segments) {
  for (Segment& segment : segments) {
    if (segment.quantized()) segment.points = int64_t{1} << options.bits;
  }
  return segments;
}

std::unique_ptr<Quantizer> quantizer_of(const QuantOptions& options,
                                        const std::vector<Segment>& segments, uint64_t seed) {
  return make_quantizer(options, pointed(options, segments), seed);
}

int64_t bits_of(const QuantOptions& options, const std::vector<Segment>& segments,
                int64_t statistics) {
  return formula_bits(options, pointed(options, segments), statistics);
}

TEST(Quantizer, SegmentsPaddingAndEncoding) {
  const std::vector<int64_t> counts = {1, 7, 33, 0, 257, 16, 4097, 5, 256, 1000, 2};
  for (const int64_t align : {int64_t{16}, int64_t{1}}) {
    const auto segments = lay_out(counts, align);
    std::vector<float> masters = random_values(end_of(segments));
    for (const int64_t bucket : {0, 1, 2, 3, 16, 100, 256, 1000}) {
      for (const Rounding rounding : {Rounding::nearest, Rounding::stochastic}) {
        const auto quantizer = quantizer_of(uniform(3, bucket, rounding), segments, 8);
        std::vector<float> shadows(masters.size(), -77), want(masters.size(), 0);
        quantizer->quantize(masters.data(), shadows.data(), 5);
        for (const Segment& segment : segments) {
          const auto at = static_cast<std::size_t>(segment.offset);
          if (segment.quantized()) {
            const QuantizedTensor tensor = quantizer->encode(segment, masters.data(), 5);
            EXPECT_EQ(tensor.shape, segment.shape);
            EXPECT_GT(tensor.bucket, 0);
            decode(tensor, want.data() + at);
          } else {
            std::copy_n(masters.data() + at, segment.count, want.data() + at);
          }
        }
        expect_equal_bits(want.data(), shadows.data(), end_of(segments));
      }
    }
  }
}

TEST(Quantizer, BucketsDoNotCrossTensorsAndTheLastIsItsOwn) {
  const std::vector<Segment> segments = {{"a", {5}, 0, 5, 1}, {"b", {2}, 16, 2, 1}};
  std::vector<float> masters(18, 1e9f);  // padding that would spoil any bucket it entered
  const std::vector<float> a = {0, 1, 2, 3, 10}, b = {-4, 4};
  std::copy(a.begin(), a.end(), masters.begin());
  std::copy(b.begin(), b.end(), masters.begin() + 16);
  std::vector<float> shadows(18);
  const auto quantizer = quantizer_of(uniform(1, 4), segments, 0);
  quantizer->quantize(masters.data(), shadows.data(), 0);
  const std::vector<float> want = {0, 0, 3, 3, 10};  // 10 alone: range 0, so its minimum
  EXPECT_TRUE(std::equal(want.begin(), want.end(), shadows.begin()));
  EXPECT_EQ(shadows[5], 0);
  EXPECT_EQ(shadows[16], -4);
  EXPECT_EQ(shadows[17], 4);
  const QuantizedTensor tensor = quantizer->encode(segments[0], masters.data(), 0);
  EXPECT_EQ(tensor.alpha, (std::vector<float>{3, 1}));
  EXPECT_EQ(tensor.beta, (std::vector<float>{0, 10}));
  EXPECT_EQ(tensor.codes, (std::vector<uint8_t>{0, 0, 1, 1, 0}));
  EXPECT_EQ(tensor.points, (std::vector<float>{0, 1}));
}

TEST(Quantizer, EqualBitsForAnyNumberOfThreads) {
  // Large enough for several threads and for streamed stores.
  const auto segments = lay_out({4500001, 77, 2000003, 5, 3000001}, 16);
  const std::vector<float> masters = random_values(end_of(segments));
  const int before = at::get_num_threads();
  for (const Rounding rounding : {Rounding::nearest, Rounding::stochastic}) {
    const auto quantizer = quantizer_of(uniform(4, 256, rounding), segments, 8);
    std::vector<float> one(masters.size() + 16), many(masters.size() + 16);
    at::set_num_threads(1);
    quantizer->quantize(masters.data(), one.data(), 3);
    for (const int threads : {2, 3, 7}) {
      at::set_num_threads(threads);
      std::fill(many.begin(), many.end(), -1.0f);
      quantizer->quantize(masters.data(), many.data(), 3);
      expect_equal_bits(one.data(), many.data(), end_of(segments));
    }
    std::vector<float> decoded(4500001);
    decode(quantizer->encode(segments[0], masters.data(), 3), decoded.data());
    expect_equal_bits(decoded.data(), one.data(), 4500001);
    const auto at = static_cast<std::size_t>(segments[4].offset);
    decode(quantizer->encode(segments[4], masters.data(), 3), decoded.data());
    expect_equal_bits(decoded.data(), one.data() + at, segments[4].count);
  }
  at::set_num_threads(before);
}

TEST(Quantizer, StepAndSeedNameTheRandomNumbers) {
  const std::vector<Segment> segments = lay_out({1000}, 16);
  const std::vector<float> masters = random_values(1000);
  const auto shadows = [&](uint64_t seed, int64_t step) {
    std::vector<float> out(1000);
    quantizer_of(uniform(2, 100, Rounding::stochastic), segments, seed)
        ->quantize(masters.data(), out.data(), step);
    return out;
  };
  EXPECT_EQ(shadows(1, 2), shadows(1, 2));
  EXPECT_NE(shadows(1, 2), shadows(1, 3));
  EXPECT_NE(shadows(1, 2), shadows(2, 2));
}

TEST(Quantizer, NamesTheTensorAndTheBucket) {
  const float inf = std::numeric_limits<float>::infinity();
  const float huge = std::numeric_limits<float>::max();
  const auto segments = lay_out({300, 20, 0, 0, 1000, 3, 3000000, 0, 3000000}, 16);
  const std::vector<float> clean = random_values(end_of(segments));
  std::vector<float> shadows(clean.size());
  const auto quantizer = quantizer_of(uniform(4, 256), segments, 0);
  const int before = at::get_num_threads();
  at::set_num_threads(4);
  for (const float evil : {inf, -inf, std::nanf(""), -huge}) {
    for (const std::size_t s : {0, 4, 6, 8}) {
      std::vector<float> masters = clean;
      const auto at = static_cast<std::size_t>(segments[s].offset);
      masters[at + 299] = evil;
      masters[at + 298] = evil == -huge ? huge : 0;
      masters.back() = inf;  // found later: not the one that is named
      const std::string want =
          concat("weights of t", s, ", bucket 1 (values 256 to ", s == 0 ? 299 : 511, ")");
      const auto fails = [&] { quantizer->quantize(masters.data(), shadows.data(), 0); };
      EXPECT_EQ(message_of(ExitCode::numbers, fails).substr(0, want.size()), want);
      const auto encodes = [&] { quantizer->encode(segments[s], masters.data(), 0); };
      EXPECT_EQ(message_of(ExitCode::numbers, encodes).substr(0, want.size()), want);
    }
  }
  at::set_num_threads(before);
  std::vector<float> masters = clean;  // what is not quantized is copied as it is
  masters[static_cast<std::size_t>(segments[1].offset)] = inf;
  quantizer->quantize(masters.data(), shadows.data(), 0);
  EXPECT_EQ(shadows[static_cast<std::size_t>(segments[1].offset)], inf);
}

TEST(Quantizer, EqualsTheSameInLibTorchOperations) {
  std::vector<float> masters = random_values(256 * 257);
  const at::Tensor rows = at::from_blob(masters.data(), {257, 256});
  const at::Tensor low = rows.amin(1, true), alpha = rows.amax(1, true).sub(low);
  for (int64_t bits = 1; bits <= 8; ++bits) {
    const double last = std::exp2(bits) - 1;
    const at::Tensor want =
        rows.sub(low).div(alpha).mul(last).round().div(last).mul(alpha).add(low);
    std::vector<float> shadows(masters.size());
    quantizer_of(uniform(bits, 256), lay_out({256 * 257}, 16), 0)
        ->quantize(masters.data(), shadows.data(), 0);
    expect_equal_bits(want.const_data_ptr<float>(), shadows.data(), 256 * 257);
  }
}

TEST(Quantizer, DecodeTakesAnyPointsAndRefusesPartsThatDoNotFit) {
  const QuantizedTensor good = {{5}, 5, 3, {-0.5f, 0.1f, 7}, {2, 1}, {1, -1}, {0, 1, 2, 2, 0}};
  std::vector<float> out(5);
  decode(good, out.data());
  EXPECT_EQ(out, (std::vector<float>{0, 1.2f, 15, 6, -1.5f}));
  const auto refused = [&](const QuantizedTensor& bad) {
    return message_of(ExitCode::model, [&] { decode(bad, out.data()); });
  };
  QuantizedTensor bad = good;
  bad.codes[4] = 3;
  EXPECT_EQ(refused(bad), "a quantized tensor has code 3 but only 3 points");
  bad = good;
  bad.codes.pop_back();
  EXPECT_NE(refused(bad), "");
  bad = good;
  bad.alpha.push_back(1);
  EXPECT_NE(refused(bad), "");
  bad = good;
  bad.bucket = 0;
  EXPECT_NE(refused(bad), "");
}

TEST(Quantizer, SettingsAreChecked) {
  const auto refused = [](const QuantOptions& options) {
    return message_of(ExitCode::settings, [&] { check(options); });
  };
  EXPECT_EQ(refused(uniform(99, 256)), "quant.bits is 99 but must be 1 to 8");
  EXPECT_EQ(refused(uniform(0, 256)), "quant.bits is 0 but must be 1 to 8");
  EXPECT_NE(refused(uniform(4, -1)).find("quant.bucket is -1"), std::string::npos);
  EXPECT_EQ(quantizer_of(QuantOptions{}, lay_out({10}, 16), 0), nullptr);
  std::vector<Segment> overlapping = lay_out({20, 20}, 16);
  overlapping[1].offset = 16;
  EXPECT_EQ(message_of(ExitCode::settings, [&] { quantizer_of(uniform(4, 256), overlapping, 0); }),
            "t1 overlaps t0 in the flat parameter buffer");
  const Json json = quantizer_of(uniform(2, 100), lay_out({10}, 16), 0)->describe();
  EXPECT_EQ(json["method"], "uniform");
  EXPECT_EQ(json["bits"], 2);
  EXPECT_EQ(json["bucket"], 100);
}

/// As files have carried it since the settings were plain texts.
TEST(Quantizer, DescriptionsHoldWords) {
  const std::string text =
      R"({"method":"joint","bits":3,"points":0,"bucket":64,"scaling":"linear","range":"error",)"
      R"("clip":0.5,"subtract_mean":true,"rounding":"nearest","scales":"bf16",)"
      R"("gradient":"straight-through","clip_gradient":false,"tensors":"all","first_layer":true,)"
      R"("last_layer":false,"rules":"a:2","start":"auto","optimizer":"scaled","rate":0.25,)"
      R"("step_size":"channel","redistribute":"bytes","alternate":"off"})";
  Json json = parse_json(text, "here", ExitCode::model);
  const QuantOptions options = quant_options_from_json(json, "here");
  EXPECT_EQ(options.scales, ScaleType::bf16);
  EXPECT_EQ(options.redistribute, Redistribute::bytes);
  EXPECT_EQ(to_json(options).dump(), text);
  json["method"] = "jiont";
  EXPECT_NE(message_of(ExitCode::model, [&] { quant_options_from_json(json, "here"); })
                .find("quant.method = jiont: give one of none, "),
            std::string::npos);
  json["method"] = 3;
  message_of(ExitCode::model, [&] { quant_options_from_json(json, "here"); });
}

/// The paper's student with 5x5 convolutions `widths` and one hidden layer; batch norm after each.
std::vector<Segment> student(const std::vector<int64_t>& widths, int64_t hidden, bool all) {
  std::vector<Segment> segments;
  const auto add = [&](int64_t count, bool weight) {
    segments.push_back({"t", {count}, 0, count, weight || all});
  };
  int64_t in = 3;
  for (const int64_t width : widths) {
    add(25 * in * width, true);
    for (int i = 0; i < 3; ++i) add(width, false);  // bias; batch norm's weight and bias
    in = width;
  }
  add(64 * in * hidden, true);
  for (int i = 0; i < 3; ++i) add(hidden, false);
  add(10 * hidden, true);
  add(10, false);
  return segments;
}

int64_t values_of(const std::vector<Segment>& segments) {
  int64_t values = 0;
  for (const Segment& segment : segments) values += segment.count;
  return values;
}

TEST(Sizes, TheFormulaGivesThePublishedRatios) {
  const auto student1 = student({75, 50, 50, 25}, 500, true);
  const auto student3 = student({25, 10, 10, 5}, 300, true);
  ASSERT_EQ(values_of(student1), 1000235);
  ASSERT_EQ(values_of(student3), 111935);
  // To the fp32 file, which holds the running statistics as well: two for each channel.
  const auto ratio = [](const std::vector<Segment>& segments, int64_t statistics) {
    return 32.0 * static_cast<double>(values_of(segments) + statistics) /
           static_cast<double>(bits_of(uniform(2, 256), segments, statistics));
  };
  EXPECT_NEAR(ratio(student1, 2 * 700), 13.96, 0.005);
  EXPECT_NEAR(ratio(student3, 2 * 350), 13.09, 0.005);
  EXPECT_LT(ratio(student({75, 50, 50, 25}, 500, false), 2 * 700), 13.60);  // weights only
}

TEST(Sizes, LimitsAndExactCounts) {
  const std::vector<Segment> large = {{"w", {1 << 24}, 0, 1 << 24, 1}};
  const auto limit = [&](int64_t bits) {
    return 32.0 * (1 << 24) / static_cast<double>(bits_of(uniform(bits, 256), large, 0));
  };
  EXPECT_NEAR(limit(2), 14.22, 0.005);
  EXPECT_NEAR(limit(4), 7.53, 0.005);
  EXPECT_NEAR(limit(8), 3.88, 0.005);
  const auto two = lay_out({257, 10}, 16);
  EXPECT_EQ(bits_of(uniform(4, 256), two, 6), 4 * 257 + 64 * 2 + 32 * 10 + 32 * 6);
  EXPECT_EQ(bits_of(uniform(4, 0), two, 0), 4 * 257 + 64 + 32 * 10);
}

TEST(Sizes, SmallTensorsAreNotWorthIt) {
  const auto points = [](const QuantOptions& options, int64_t count) {
    return points_of(options, "w", {count});
  };
  EXPECT_EQ(points(uniform(2, 256), 1), 0);
  EXPECT_EQ(points(uniform(2, 256), 2), 0);  // 68 bits for 64
  EXPECT_EQ(points(uniform(2, 256), 3), 4);  // 70 for 96
  EXPECT_EQ(points(uniform(8, 256), 2), 0);
  EXPECT_EQ(points(uniform(8, 2), 1000), 0);
  EXPECT_EQ(points(uniform(8, 3), 1000), 256);
  EXPECT_EQ(points(QuantOptions{}, 1000), 0);
  EXPECT_EQ(points(uniform(2, 0), 0), 0);
}

TEST(Measure, GivesTimesOfAllThree) {
  for (const KernelTimes& times : {measure_uniform(1 << 20, 4, 3), measure_points(1 << 18, 16, 3),
                                   measure_points_gradient(1 << 18, 16, 3)}) {
    for (const KernelTime& time : {times.fused, times.copy, times.operations}) {
      EXPECT_GE(time.bytes, 1 << 18);
      EXPECT_GT(time.seconds_min, 0);
      EXPECT_LE(time.seconds_min, time.seconds_median);
    }
  }
}

}  // namespace
}  // namespace bitstill
