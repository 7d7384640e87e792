#include "bitstill/metrics/tally.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

namespace bitstill {
namespace {

using Logits = std::vector<float>;
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

/// Logits of which softmax makes `probabilities`.
Logits logits_of(const std::vector<double>& probabilities) {
  Logits logits;
  for (const double p : probabilities) logits.push_back(static_cast<float>(std::log(p)));
  return logits;
}

TEST(Scores, OfKnownProbabilities) {
  const Logits logits = logits_of({0.2, 0.5, 0.3});
  const SampleScore right = score_sample(logits, 1), third = score_sample(logits, 0);
  EXPECT_EQ(right.predicted, 1);
  EXPECT_EQ(right.ahead, 0);
  EXPECT_NEAR(right.loss, std::log(2.0), 1e-7);
  EXPECT_NEAR(right.confidence, 0.5, 1e-7);
  EXPECT_EQ(third.predicted, 1);
  EXPECT_EQ(third.ahead, 2);
  EXPECT_NEAR(third.loss, std::log(5.0), 1e-7);
  EXPECT_EQ(third.confidence, right.confidence);
}

TEST(Scores, EqualLogitsGoToTheLowerNumber) {
  const Logits flat(4, 7.0f);
  for (int64_t label = 0; label < 4; ++label) {
    const SampleScore score = score_sample(flat, label);
    EXPECT_EQ(score.predicted, 0);
    EXPECT_EQ(score.ahead, label);
    EXPECT_DOUBLE_EQ(score.loss, std::log(4.0));
  }
}

TEST(Scores, LargeLogitsDoNotOverflow) {
  const Logits logits = {3e38f, -3e38f, 0};
  EXPECT_EQ(score_sample(logits, 0).loss, 0);
  EXPECT_EQ(score_sample(logits, 0).confidence, 1);
  EXPECT_NEAR(score_sample(logits, 1).loss, 6e38, 1e33);
}

TEST(Scores, WhatIsNotFiniteIsNeverRight) {
  for (const Logits& bad : {Logits{kNan, 1}, Logits{1, kNan}, Logits{kInfinity, 1},
                            Logits{kInfinity, kInfinity}, Logits{-kInfinity, 0}}) {
    for (const int64_t label : {0, 1}) {
      const SampleScore score = score_sample(bad, label);
      EXPECT_EQ(score.predicted, -1);
      EXPECT_EQ(score.ahead, 2);
      EXPECT_TRUE(std::isnan(score.loss));
    }
    EXPECT_TRUE(std::isnan(top_classes(bad, 1)[0].probability));
  }
}

TEST(Scores, DivergenceByHand) {
  const auto p = log_softmax(logits_of({0.5, 0.25, 0.25}));
  const auto q = log_softmax(logits_of({0.25, 0.5, 0.25}));
  EXPECT_NEAR(kl_divergence(p, q), 0.25 * std::log(2.0), 1e-7);
  const auto r = log_softmax(logits_of({0.9, 0.05, 0.05}));
  EXPECT_NEAR(kl_divergence(r, p), 0.9 * std::log(1.8) + 0.1 * std::log(0.2), 1e-6);
  EXPECT_NEAR(kl_divergence(p, r), 0.5 * std::log(0.5 / 0.9) + 0.5 * std::log(5.0), 1e-6);
  EXPECT_EQ(kl_divergence(p, p), 0);
  EXPECT_TRUE(std::isnan(kl_divergence(p, log_softmax(Logits{kNan, 0, 0}))));
}

TEST(Scores, TopClasses) {
  const Logits logits = logits_of({0.1, 0.4, 0.1, 0.4});
  const auto top = top_classes(logits, 3);
  ASSERT_EQ(top.size(), 3u);
  EXPECT_EQ(top[0].index, 1);
  EXPECT_EQ(top[1].index, 3);
  EXPECT_EQ(top[2].index, 0);
  EXPECT_NEAR(top[1].probability, 0.4, 1e-7);
  EXPECT_EQ(top_classes(logits, 99).size(), 4u);
}

TEST(Tally, CountsByHand) {
  ClassificationTally tally(7);
  EXPECT_EQ(tally.top(), 5);
  EXPECT_EQ(ClassificationTally(3).top(), 3);
  tally.add({2, 0, 0.5, 0.9}, 2);
  tally.add({2, 4, 1.5, 0.4}, 3);  // the fifth
  tally.add({3, 5, 2.0, 0.3}, 6);  // the sixth
  tally.add({3, 0, 0.0, 1.0}, 3);
  EXPECT_EQ(tally.counts().samples, 4);
  EXPECT_EQ(tally.counts().correct, 2);
  EXPECT_EQ(tally.counts().mean_loss(), 1);
  EXPECT_EQ(tally.in_top(), 3);
  EXPECT_EQ(tally.of_class(3).samples, 2);
  EXPECT_EQ(tally.of_class(3).correct, 1);
  EXPECT_EQ(tally.of_class(0).samples, 0);
  EXPECT_EQ(tally.confusion(2, 2), 1);
  EXPECT_EQ(tally.confusion(3, 2), 1);
  EXPECT_EQ(tally.confusion(2, 3), 0);
  EXPECT_EQ(tally.confusion(6, 3), 1);
  const auto confusions = largest_confusions(tally, 9);
  ASSERT_EQ(confusions.size(), 2u);
  EXPECT_EQ(confusions[0].label, 3);
  EXPECT_EQ(confusions[0].predicted, 2);
  EXPECT_EQ(confusions[1].label, 6);
  EXPECT_EQ(largest_confusions(tally, 1).size(), 1u);
}

TEST(Tally, CalibrationByHand) {
  ClassificationTally tally(2);
  // Bin (9/15, 10/15]: two samples of confidence 0.625, one right: |0.5 - 0.625|. Bin (14/15, 1]:
  // two of confidence 1, both right: 0. Bin (10/15, 11/15]: one of 0.6875, wrong: 0.6875.
  tally.add({0, 0, 0, 0.625}, 0);
  tally.add({0, 1, 0, 0.625}, 1);
  tally.add({1, 0, 0, 1}, 1);
  tally.add({1, 0, 0, 1}, 1);
  tally.add({1, 1, 0, 0.6875}, 0);
  EXPECT_DOUBLE_EQ(tally.calibration_error(), 100 * (2 * 0.125 + 2 * 0 + 1 * 0.6875) / 5);
  EXPECT_EQ(tally.bin(9).samples, 2);
  EXPECT_EQ(tally.bin(9).correct, 1);
  EXPECT_EQ(tally.bin(9).confidence, 0.625);
  EXPECT_EQ(tally.bin(10).samples, 1);
  EXPECT_EQ(tally.bin(14).samples, 2);
  EXPECT_EQ(tally.bin(0).samples, 0);
  EXPECT_EQ(tally.bin(0).confidence, 0);
  EXPECT_EQ(ClassificationTally(2).calibration_error(), 0);
}

TEST(Tally, BinsHoldTheirUpperEdge) {
  for (int64_t b = 0; b < kConfidenceBins; ++b) {
    ClassificationTally tally(1);
    const double edge = static_cast<double>(b + 1) / 15, unit = 0x1p-24;
    tally.add({0, 0, 0, std::floor(edge / unit) * unit}, 0);
    tally.add({0, 0, 0, std::floor(edge / unit) * unit + unit}, 0);  // at 1 it is cut to 1
    EXPECT_EQ(tally.bin(b).samples, b == 14 ? 2 : 1) << b;
  }
  ClassificationTally nothing(1);
  nothing.add({0, 0, 0, 0}, 0);
  EXPECT_EQ(nothing.bin(0).samples, 1);
}

TEST(Tally, WhatIsNotFiniteLooksBad) {
  ClassificationTally tally(2);
  tally.add(score_sample(Logits{kNan, 0}, 1), 1);
  tally.add({1, 0, 0, 1}, 1);
  EXPECT_EQ(tally.not_finite(), 1);
  EXPECT_EQ(tally.counts().correct, 1);
  EXPECT_EQ(tally.counts().mean_loss(), 0x1p19);
  EXPECT_EQ(tally.in_top(), 1);
  EXPECT_EQ(tally.of_class(1).samples, 2);
  EXPECT_EQ(tally.confusion(1, 0) + tally.confusion(1, 1), 1);
  EXPECT_EQ(tally.calibration_error(), 0);
}

TEST(Tally, SumsOfPartsAreThoseOfTheWholeAndAPlainMean) {
  std::mt19937 random(5);
  std::normal_distribution<float> normal(0, 2);
  ClassificationTally whole(9),
      parts[3] = {ClassificationTally(9), ClassificationTally(9), ClassificationTally(9)};
  double loss = 0, in_bin[15] = {}, right[15] = {}, samples[15] = {};
  for (int i = 0; i < 2000; ++i) {
    Logits logits(9);
    for (float& logit : logits) logit = normal(random);
    const int64_t label = i % 9;
    logits[static_cast<std::size_t>(label)] += 2;
    const SampleScore score = score_sample(logits, label);
    whole.add(score, label);
    parts[i % 3].add(score, label);
    loss += score.loss;
    const auto bin = std::min(14, static_cast<int>(std::ceil(score.confidence * 15)) - 1);
    in_bin[bin] += score.confidence;
    right[bin] += score.predicted == label ? 1 : 0;
    samples[bin] += 1;
  }
  std::vector<int64_t> sum(whole.sums().size());
  for (const int part : {2, 0, 1}) {
    for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += parts[part].sums()[i];
  }
  EXPECT_EQ(sum, whole.sums());
  double error = 0;
  for (int b = 0; b < 15; ++b) {
    if (samples[b] > 0) {
      error += samples[b] / 2000 * std::abs(right[b] / samples[b] - in_bin[b] / samples[b]);
    }
  }
  EXPECT_NEAR(whole.calibration_error(), 100 * error, 1e-5);
  EXPECT_NEAR(whole.counts().mean_loss(), loss / 2000, 0x1p-24);
  int64_t cells = 0, diagonal = 0;
  for (int64_t a = 0; a < 9; ++a) {
    for (int64_t b = 0; b < 9; ++b) cells += whole.confusion(a, b);
    diagonal += whole.confusion(a, a);
    EXPECT_EQ(whole.of_class(a).correct, whole.confusion(a, a));
  }
  EXPECT_EQ(cells, 2000);
  EXPECT_EQ(diagonal, whole.counts().correct);
}

TEST(Tally, ManyClassesKeepNoMatrix) {
  ClassificationTally tally(65536);
  EXPECT_FALSE(tally.has_confusion());
  EXPECT_LT(tally.sums().size(), 200000u);
  tally.add({65535, 0, 1, 0.5}, 65535);
  tally.add({1, 1, 1, 0.5}, 65535);
  EXPECT_EQ(tally.of_class(65535).samples, 2);
  EXPECT_EQ(tally.of_class(65535).correct, 1);
  EXPECT_TRUE(largest_confusions(tally, 5).empty());
}

}  // namespace
}  // namespace bitstill
