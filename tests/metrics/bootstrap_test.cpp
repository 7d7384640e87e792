#include "bitstill/metrics/bootstrap.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "bitstill/metrics/bleu.hpp"

namespace bitstill {
namespace {

/// A score with a known answer: the mean over sentences.
struct Mean {
  double sum = 0, count = 0;
  Mean& operator+=(const Mean& other) {
    sum += other.sum;
    count += other.count;
    return *this;
  }
};
double mean_of(const Mean& mean) {
  return mean.sum / mean.count;
}

/// Values whose noise is common to both models, and a share that is not.
struct Sample {
  std::vector<std::vector<Mean>> model, reference;
  double deviation = 0;  // of a pair's difference

  Sample(std::size_t runs, std::size_t sentences, double difference, uint64_t seed) {
    RandomStream stream(seed, StreamPurpose::split);
    double squares = 0;
    for (std::size_t run = 0; run < runs; ++run) {
      std::vector<Mean> ours, theirs;
      for (std::size_t i = 0; i < sentences; ++i) {
        const double common = 10 * stream.uniform(), own = stream.uniform() - 0.5;
        ours.push_back({common + difference + own, 1});
        theirs.push_back({common, 1});
        squares += own * own;
      }
      model.push_back(ours);
      reference.push_back(theirs);
    }
    deviation = std::sqrt(squares / static_cast<double>(runs * sentences));
  }
};

TEST(Bootstrap, OfAMeanIsItsNormalInterval) {
  const Sample sample(1, 400, 0.1, 3);
  const auto result = paired_bootstrap(sample.model, sample.reference, mean_of, {4000, 1});
  const double error = sample.deviation / std::sqrt(400.0);
  EXPECT_NEAR(result.difference, 0.1, 4 * error);
  EXPECT_NEAR(result.high - result.low, 2 * 1.96 * error, 0.2 * error);
  EXPECT_NEAR((result.high + result.low) / 2, result.difference, 0.2 * error);
  EXPECT_LT(result.p, 0.01);
}

TEST(Bootstrap, FindsNoDifferenceWhereThereIsNone) {
  int significant = 0;
  double p = 0;
  for (uint64_t seed = 0; seed < 200; ++seed) {
    const Sample sample(1, 100, 0, 100 + seed);
    const auto result = paired_bootstrap(sample.model, sample.reference, mean_of, {400, 1});
    significant += result.low > 0 || result.high < 0 ? 1 : 0;
    p += result.p / 200;
  }
  EXPECT_LE(significant, 10 + 5 * 3);  // of 200: 5 %, and five deviations
  EXPECT_NEAR(p, 0.5, 5 * 0.29 / std::sqrt(200.0));
}

TEST(Bootstrap, RunsAreDrawnInPairs) {
  // Runs differ by 10 points, the models by 1 in each: what is common to a pair cancels.
  std::vector<std::vector<Mean>> model, reference;
  for (const double run : {10.0, 20.0, 30.0}) {
    model.emplace_back(50, Mean{run + 1, 1});
    reference.emplace_back(50, Mean{run, 1});
  }
  const auto result = paired_bootstrap(model, reference, mean_of);
  EXPECT_DOUBLE_EQ(result.difference, 1);
  EXPECT_NEAR(result.low, 1, 1e-12);
  EXPECT_NEAR(result.high, 1, 1e-12);
  // Where the difference varies between runs the interval spans it.
  for (Mean& sentence : model[2]) sentence.sum += 3;
  const auto wide = paired_bootstrap(model, reference, mean_of);
  EXPECT_DOUBLE_EQ(wide.difference, 2);
  EXPECT_NEAR(wide.low, 1, 1e-12);
  EXPECT_NEAR(wide.high, 4, 1e-12);
}

TEST(Bootstrap, IsAFunctionOfCountsAndSeed) {
  std::vector<std::vector<BleuCounts>> model(1), reference(1);
  RandomStream stream(1, StreamPurpose::split);
  for (int i = 0; i < 60; ++i) {
    std::string truth, good, bad;  // of words right in 4 and in 3 of 5 places
    for (int word = 0; word < 12; ++word) {
      truth += " w" + std::to_string(word);
      good += stream.below(5) < 4 ? " w" + std::to_string(word) : " x";
      bad += stream.below(5) < 3 ? " w" + std::to_string(word) : " x";
    }
    model[0].push_back(bleu_counts(good, truth));
    reference[0].push_back(bleu_counts(bad, truth));
  }
  const auto score = [](const BleuCounts& counts) { return counts.score(); };
  const auto first = paired_bootstrap(model, reference, score);
  const auto again = paired_bootstrap(model, reference, score);
  EXPECT_EQ(first.low, again.low);
  EXPECT_EQ(first.high, again.high);
  EXPECT_GT(first.difference, 0);
  EXPECT_GT(first.low, 0);
  const auto other = paired_bootstrap(model, reference, score, {1000, 2});
  EXPECT_NE(std::pair(other.low, other.high), std::pair(first.low, first.high));
  const auto turned = paired_bootstrap(reference, model, score);
  EXPECT_DOUBLE_EQ(turned.low, -first.high);
  EXPECT_DOUBLE_EQ(turned.p, first.p);
  const auto same = paired_bootstrap(model, model, score);
  EXPECT_EQ(same.low, 0);
  EXPECT_EQ(same.high, 0);
  EXPECT_EQ(same.p, 1);
}

}  // namespace
}  // namespace bitstill
