#include "bitstill/data/length_buckets.hpp"

#include <algorithm>
#include <cmath>

#include "../base/multi30k.hpp"
#include "bitstill/base/utf8.hpp"
#include "bitstill/data/sampler.hpp"
#include "data_fixture.hpp"

namespace bitstill {
namespace {

/// Target lengths as of sentences, sources about as long; none of either is 0 but for some.
std::vector<SentenceLengths> random_lengths(int64_t count, uint64_t seed) {
  RandomStream stream(seed, StreamPurpose::split);
  std::vector<SentenceLengths> lengths;
  for (int64_t i = 0; i < count; ++i) {
    const double middle = 12 * std::exp(0.4 * (stream.uniform() + stream.uniform() - 1) * 3);
    lengths.push_back({static_cast<int32_t>(middle * (0.7 + 0.6 * stream.uniform())),
                       static_cast<int32_t>(middle)});
  }
  return lengths;
}

int64_t longest_of(const std::vector<SentenceLengths>& lengths) {
  int64_t longest = 1;
  for (const SentenceLengths& pair : lengths) {
    longest = std::max<int64_t>(longest, std::max(pair.source, pair.target + 1));
  }
  return longest;
}

/// What holds for every epoch.
void check_epoch(const std::vector<SentenceLengths>& lengths, const BucketOptions& options,
                 int64_t epoch) {
  SCOPED_TRACE(testing::Message() << lengths.size() << " sentences, window " << options.window
                                  << ", micro " << options.micro_tokens << ", global "
                                  << options.global_tokens);
  const BucketedEpoch result = bucket_epoch(lengths, options, 7, epoch);
  std::vector<int64_t> sorted = result.order;
  std::sort(sorted.begin(), sorted.end());
  ASSERT_EQ(sorted.size(), lengths.size());
  for (std::size_t i = 0; i < sorted.size(); ++i) ASSERT_EQ(sorted[i], static_cast<int64_t>(i));
  int64_t at = 0;
  for (const SentenceBatch& batch : result.micro_batches) {
    ASSERT_EQ(batch.first, at);
    ASSERT_GE(batch.count, 1);
    int64_t longest = 0, terms = 0;
    for (; at < batch.first + batch.count; ++at) {
      const SentenceLengths& pair = lengths[result.order[at]];
      longest = std::max<int64_t>(longest, std::max(pair.source, pair.target + 1));
      terms += pair.target + 1;
    }
    ASSERT_EQ(batch.padded, batch.count * longest);
    ASSERT_EQ(batch.terms, terms);
    ASSERT_LE(batch.padded, options.micro_tokens);
  }
  ASSERT_EQ(at, static_cast<int64_t>(lengths.size()));
  // Steps: all micro-batches in order, none fuller than allowed, none that could take the next.
  std::size_t micro = 0;
  for (int64_t s = 0; s < result.steps(); ++s) {
    const auto step = result.step(s);
    ASSERT_FALSE(step.empty());
    ASSERT_EQ(step.data(), &result.micro_batches[micro]);
    micro += step.size();
    int64_t terms = 0;
    for (const SentenceBatch& batch : step) terms += batch.terms;
    ASSERT_TRUE(terms <= options.global_tokens || step.size() == 1);
    if (s + 1 < result.steps()) {
      ASSERT_GT(terms + result.step(s + 1).front().terms, options.global_tokens);
    }
  }
  ASSERT_EQ(micro, result.micro_batches.size());
}

TEST(LengthBuckets, EverySentenceOnceWithinTheLimits) {
  for (const int64_t count : {0, 1, 2, 3, 17, 100, 1001}) {
    const std::vector<SentenceLengths> lengths = random_lengths(count, 5);
    const int64_t longest = longest_of(lengths);
    for (const int64_t window : {1, 7, 64, 5000}) {
      for (const int64_t micro : {longest, longest + 1, int64_t{333}, int64_t{100000}}) {
        for (const int64_t global : {1, 50, 500, 1000000}) {
          check_epoch(lengths, {window, micro, global}, 2);
        }
      }
    }
  }
}

TEST(LengthBuckets, DependOnSeedAndEpochAlone) {
  const std::vector<SentenceLengths> lengths = random_lengths(500, 6);
  const BucketOptions options{100, 300, 900};
  const BucketedEpoch first = bucket_epoch(lengths, options, 1, 0);
  bucket_epoch(lengths, options, 2, 5);
  EXPECT_EQ(bucket_epoch(lengths, options, 1, 0).order, first.order);
  EXPECT_EQ(bucket_epoch(lengths, options, 1, 0).micro_batches, first.micro_batches);
  EXPECT_NE(bucket_epoch(lengths, options, 1, 1).order, first.order);
  EXPECT_NE(bucket_epoch(lengths, options, 2, 0).order, first.order);
}

TEST(LengthBuckets, EquallyLongSentencesMeetByChance) {
  // 40 of one length, 4 a micro-batch: how often two given ones meet over 2,000 epochs. 3 of the 39
  // others are with sentence 0 each time: 154 meetings, standard deviation 12.
  const std::vector<SentenceLengths> lengths(40, {5, 5});
  int met = 0;
  for (int64_t epoch = 0; epoch < 2000; ++epoch) {
    const BucketedEpoch result = bucket_epoch(lengths, {40, 24, 1000}, 3, epoch);
    ASSERT_EQ(result.micro_batches.size(), 10U);
    const auto place = [&](int64_t sentence) {
      return (std::find(result.order.begin(), result.order.end(), sentence) -
              result.order.begin()) /
             4;
    };
    met += place(0) == place(1) ? 1 : 0;
  }
  EXPECT_NEAR(met, 2000 * 3.0 / 39, 5 * 12);
}

TEST(LengthBuckets, MicroBatchesComeInRandomOrder) {
  // One micro-batch a length: where the longest sentences stand, over epochs.
  std::vector<SentenceLengths> lengths;
  for (int32_t length = 1; length <= 10; ++length)
    lengths.insert(lengths.end(), 4, {length, length});
  std::vector<int> places(20);
  int64_t count = 0;
  for (int64_t epoch = 0; epoch < 3000; ++epoch) {
    const BucketedEpoch result = bucket_epoch(lengths, {40, 11, 1000}, 4, epoch);
    count = static_cast<int64_t>(result.micro_batches.size());
    for (int64_t n = 0; n < count; ++n) {
      if (lengths[result.order[result.micro_batches[n].first]].target == 10) {
        places[static_cast<std::size_t>(n * 10 / count)] += 1;
        break;
      }
    }
  }
  EXPECT_GT(places[0], 100);
  EXPECT_LT(places[0], 2000);
}

TEST(LengthBuckets, RanksGetConsecutiveRunsOfEqualWork) {
  const std::vector<SentenceLengths> lengths = random_lengths(3001, 8);
  const BucketedEpoch result = bucket_epoch(lengths, {1000, 200, 4000}, 1, 0);
  for (int64_t s = 0; s < result.steps(); ++s) {
    const auto step = result.step(s);
    int64_t total = 0, most = 0;
    for (const SentenceBatch& batch : step) {
      total += batch.padded;
      most = std::max(most, batch.padded);
    }
    for (const int world : {1, 2, 3, 4, 7, 64}) {
      const std::vector<int64_t> first = deal_to_ranks(step, world);
      ASSERT_EQ(first.size(), static_cast<std::size_t>(world) + 1);
      ASSERT_EQ(first.front(), 0);
      ASSERT_EQ(first.back(), static_cast<int64_t>(step.size()));
      ASSERT_TRUE(std::is_sorted(first.begin(), first.end()));
      for (int rank = 0; rank < world; ++rank) {
        int64_t held = 0;
        for (int64_t n = first[rank]; n < first[rank + 1]; ++n) held += step[n].padded;
        // Each end is off its place by half a micro-batch at most.
        ASSERT_NEAR(static_cast<double>(held), static_cast<double>(total) / world,
                    static_cast<double>(most));
      }
    }
  }
}

TEST(LengthBuckets, RefuseWhatCannotBe) {
  const std::vector<SentenceLengths> lengths = {{3, 4}, {30, 9}, {2, 2}};
  const auto refusal = [&](const BucketOptions& options) {
    return error_of(ExitCode::settings, [&] { bucket_epoch(lengths, options, 1, 0); });
  };
  EXPECT_HOLDS(refusal({10, 29, 100}), "train.micro_tokens = 29: the longest sentence has 30");
  EXPECT_HOLDS(refusal({0, 100, 100}), "data.window = 0");
  EXPECT_HOLDS(refusal({10, 100, 0}), "train.global_tokens = 0");
}

TEST(LengthBuckets, LittleOfMulti30kIsPadding) {
  const ScratchFolder scratch;
  std::vector<SentenceLengths> lengths;
  const auto sources = multi30k_lines(scratch.path(), "train.en");
  const auto targets = multi30k_lines(scratch.path(), "train.de");
  if (sources.empty()) GTEST_SKIP() << "no multi30k_en-de.tar.xz in BITSTILL_DATA";
  ASSERT_EQ(sources.size(), targets.size());
  for (std::size_t i = 0; i < sources.size(); ++i) {
    lengths.push_back({static_cast<int32_t>(split_words(sources[i]).size()),
                       static_cast<int32_t>(split_words(targets[i]).size())});
  }
  EXPECT_LE(padding_share(bucket_epoch(lengths, BucketOptions{}, 1, 0), lengths), 0.02);
  // Windows of 4,000: of the targets alone under 1 %.
  const BucketedEpoch small = bucket_epoch(lengths, {4000, 512, 4000}, 1, 0);
  for (SentenceLengths& pair : lengths) pair.source = 0;
  EXPECT_LE(padding_share(small, lengths), 0.01);
}

}  // namespace
}  // namespace bitstill
