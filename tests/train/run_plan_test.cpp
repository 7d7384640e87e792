#include "bitstill/train/run_plan.hpp"

#include <algorithm>

#include "../data/sentences.hpp"
#include "bitstill/comm/agree.hpp"
#include "bitstill/comm/thread_world.hpp"
#include "bitstill/data/sampler.hpp"

namespace bitstill {
namespace {

std::vector<SentenceLengths> random_lengths(int64_t count) {
  RandomStream stream(3, StreamPurpose::split);
  std::vector<SentenceLengths> lengths;
  for (int64_t i = 0; i < count; ++i) {
    lengths.push_back(
        {static_cast<int32_t>(1 + stream.below(30)), static_cast<int32_t>(1 + stream.below(25))});
  }
  return lengths;
}

TrainingOptions options_of(int64_t micro_tokens, int64_t global_tokens, int64_t window) {
  TrainingOptions options;
  options.train.micro_tokens = micro_tokens;
  options.train.global_tokens = global_tokens;
  options.window = window;
  options.run.seed = 5;
  return options;
}

using Batches = std::vector<std::vector<int64_t>>;

Batches batches_of(const EpochPlan& plan, int rank, int64_t epoch, int64_t first_step = 0) {
  Batches batches;
  const BatchPlan next = rank_batches(plan, rank, false, epoch, first_step);
  std::vector<int64_t> rows;
  for (int64_t of_epoch = -1, n = 0; next(n, &rows, &of_epoch); ++n) {
    EXPECT_EQ(of_epoch, epoch);
    batches.push_back(rows);
  }
  return batches;
}

TEST(RunPlan, EpochsOfImagesHaveTheirOrderAndEqualSteps) {
  TrainingOptions options;
  options.train.global_batch = 20;
  options.train.micro_batch = 4;
  options.run.seed = 5;
  const RunPlan run(103, options, 2);
  for (const int64_t epoch : {0, 1, 7}) {
    const EpochPlan plan = run.epoch(epoch), by_number(103, 20, 4, 2);
    EXPECT_EQ(plan.order(), epoch_order(103, 5, epoch));
    ASSERT_EQ(plan.steps(), by_number.steps());
    for (int64_t s = 0; s < plan.steps(); ++s) {
      EXPECT_EQ(plan.step(s).owner_first, by_number.step(s).owner_first);
      EXPECT_EQ(plan.step(s).terms, by_number.step(s).terms);
    }
  }
}

/// The epoch's steps are those of bucket_epoch(), each sentence once; ranks have consecutive runs.
void check_epoch(const std::vector<SentenceLengths>& lengths, const TrainingOptions& options,
                 int world, int64_t epoch) {
  SCOPED_TRACE(testing::Message() << world << " ranks, epoch " << epoch);
  const EpochPlan plan = RunPlan(lengths, options, world).epoch(epoch);
  const BucketedEpoch buckets = bucket_epoch(
      lengths, {options.window, options.train.micro_tokens, options.train.global_tokens}, 5, epoch);
  ASSERT_EQ(plan.order(), buckets.order);
  ASSERT_EQ(plan.steps(), buckets.steps());
  std::vector<int64_t> seen;
  for (int64_t s = 0; s < plan.steps(); ++s) {
    const StepPlan step = plan.step(s);
    ASSERT_EQ(step.micro_batches.size(), buckets.step(s).size());
    int64_t terms = 0;
    for (std::size_t n = 0; n < step.micro_batches.size(); ++n) {
      const MicroBatch& micro = step.micro_batches[n];
      int64_t own = 0, longest = 0;
      for (const int64_t row : plan.rows(micro)) {
        own += lengths[row].target + 1;
        longest = std::max(longest, padded_length(lengths[row]));
        seen.push_back(row);
      }
      ASSERT_EQ(micro.terms, own);
      ASSERT_LE(longest * micro.count, options.train.micro_tokens);
      terms += own;
    }
    ASSERT_EQ(step.terms, terms);
    ASSERT_TRUE(terms <= options.train.global_tokens || step.micro_batches.size() == 1);
    ASSERT_EQ(step.owner_first, deal_to_ranks(buckets.step(s), world));
  }
  std::sort(seen.begin(), seen.end());
  for (std::size_t i = 0; i < seen.size(); ++i) ASSERT_EQ(seen[i], static_cast<int64_t>(i));
  ASSERT_EQ(seen.size(), lengths.size());
}

TEST(RunPlan, EpochsOfSentencesAreBucketed) {
  const std::vector<SentenceLengths> lengths = random_lengths(701);
  for (int world = 1; world <= 4; ++world) {
    for (const int64_t epoch : {0, 1, 9}) {
      check_epoch(lengths, options_of(120, 700, 200), world, epoch);
      check_epoch(lengths, options_of(30, 40, 1000), world, epoch);  // single sentences among them
    }
  }
}

TEST(RunPlan, PaddingIsThatOfTheFirstEpoch) {
  const std::vector<SentenceLengths> lengths = random_lengths(400);
  const TrainingOptions options = options_of(120, 700, 200);
  EXPECT_EQ(RunPlan(lengths, options, 3).padding(),
            padding_share(bucket_epoch(lengths, {200, 120, 700}, 5, 0), lengths));
  EXPECT_EQ(RunPlan(400, options, 3).padding(), 0);
}

TEST(RunPlan, EpochsOfSentencesDifferInTheirSteps) {
  const RunPlan run(random_lengths(701), options_of(120, 300, 100), 2);
  std::vector<int64_t> steps;
  for (int64_t epoch = 0; epoch < 12; ++epoch) steps.push_back(run.epoch(epoch).steps());
  const auto [least, most] = std::minmax_element(steps.begin(), steps.end());
  EXPECT_LT(*least, *most);  // else nothing here is tested by it
  EXPECT_LT(*most - *least, *least / 5);
}

TEST(RunPlan, MicroBatchesOfSentencesAreTheSameForAnyWorld) {
  const std::vector<SentenceLengths> lengths = random_lengths(500);
  const TrainingOptions options = options_of(100, 600, 300);
  const EpochPlan alone = RunPlan(lengths, options, 1).epoch(3);
  for (int world = 2; world <= 4; ++world) {
    const EpochPlan many = RunPlan(lengths, options, world).epoch(3);
    ASSERT_EQ(many.order(), alone.order());
    ASSERT_EQ(many.steps(), alone.steps());
    for (int64_t s = 0; s < alone.steps(); ++s) {
      const StepPlan ours = many.step(s), theirs = alone.step(s);
      ASSERT_EQ(ours.micro_batches.size(), theirs.micro_batches.size());
      for (std::size_t n = 0; n < ours.micro_batches.size(); ++n) {
        ASSERT_EQ(ours.micro_batches[n].first, theirs.micro_batches[n].first);
        ASSERT_EQ(ours.micro_batches[n].count, theirs.micro_batches[n].count);
        ASSERT_EQ(ours.micro_batches[n].terms, theirs.micro_batches[n].terms);
      }
    }
    // Together the ranks have the one rank's batches, each a run of every step's.
    Batches joined;
    for (int64_t s = 0; s < alone.steps(); ++s) {
      for (int rank = 0; rank < world; ++rank) {
        const StepPlan step = many.step(s);
        const Batches from = batches_of(many, rank, 3, s);
        const int64_t count = step.passes(rank, false);
        joined.insert(joined.end(), from.begin(), from.begin() + count);
      }
    }
    ASSERT_EQ(joined, batches_of(alone, 0, 3));
  }
}

TEST(RunPlan, BatchesOfSentencesFromAStepOnAreThoseOfTheWholeEpoch) {
  const EpochPlan plan = RunPlan(random_lengths(300), options_of(100, 400, 300), 3).epoch(2);
  for (int rank = 0; rank < 3; ++rank) {
    const Batches whole = batches_of(plan, rank, 2);
    std::ptrdiff_t before = 0;
    for (int64_t first = 0; first <= plan.steps(); ++first) {
      ASSERT_EQ(batches_of(plan, rank, 2, first), Batches(whole.begin() + before, whole.end()));
      if (first < plan.steps()) before += plan.step(first).passes(rank, false);
    }
  }
}

TEST(RunPlan, ARanksPartOfAStepIsWhereNothingIsSaid) {
  const std::vector<SentenceLengths> lengths = random_lengths(2000);
  for (const int world : {1, 2, 4}) {
    const EpochPlan plan = RunPlan(lengths, options_of(0, 2000, 2000), world).epoch(0);
    for (int64_t s = 0; s < plan.steps(); ++s) {
      const StepPlan step = plan.step(s);
      for (const MicroBatch& micro : step.micro_batches) ASSERT_LE(micro.terms, 2000 / world);
      if (s + 1 == plan.steps()) continue;
      ASSERT_GE(static_cast<int64_t>(step.micro_batches.size()), world);
    }
  }
  // A part that is below the longest sentence is raised to it.
  EXPECT_NO_THROW(RunPlan(lengths, options_of(0, 40, 2000), 4).epoch(0));
}

TEST(RunPlan, RefusesWhatCannotBe) {
  EXPECT_HOLDS(error_of(ExitCode::data, [] { RunPlan(1, options_of(0, 9, 9), 1).epoch(0); }),
               "1 samples");
  EXPECT_HOLDS(
      error_of(ExitCode::data, [] { RunPlan(random_lengths(0), options_of(0, 9, 9), 1).epoch(0); }),
      "no sentences");
  EXPECT_HOLDS(error_of(ExitCode::settings,
                        [] { RunPlan(random_lengths(99), options_of(20, 900, 9), 1).epoch(0); }),
               "train.micro_tokens = 20: the longest sentence has");
}

/// A folder of real token shards.
class TokenFolder : public testing::Test {
 protected:
  TokenFolder() {
    TextOptions options = text_options(put_pairs(scratch_ / "all", made_pairs(403, 1)), folder());
    options.rows_per_shard = 100;
    convert_text(options);
  }
  std::string folder() const { return scratch_ / "out"; }
  ScratchFolder scratch_;
};

TEST_F(TokenFolder, RankZeroReadsTheLengthsForAll) {
  const Dataset dataset(folder());
  const TrainingOptions options = options_of(100, 800, 200);
  const IndexFiles files = read_index_files(folder());
  const std::string elsewhere = scratch_ / "no such folder";
  for (int world = 1; world <= 3; ++world) {
    const EpochPlan expected = RunPlan(dataset.lengths(Split::train), options, world).epoch(1);
    run_as_ranks(world, [&](Communicator& comm) {
      const Dataset theirs(comm.rank() == 0 ? folder() : elsewhere, files);
      const EpochPlan plan = make_run_plan(theirs, options, comm).epoch(1);
      EXPECT_EQ(plan.order(), expected.order());
      ASSERT_EQ(plan.steps(), expected.steps());
      for (int64_t s = 0; s < plan.steps(); ++s) {
        EXPECT_EQ(plan.step(s).owner_first, expected.step(s).owner_first);
      }
    });
    run_as_ranks(world, [&](Communicator& comm) {
      EXPECT_THROW(make_run_plan(dataset, options_of(9, 800, 200), comm), AgreedError);
    });
  }
}

TEST_F(TokenFolder, ThePrefetcherBringsItsSentences) {
  const Dataset dataset(folder());
  const std::vector<SentenceLengths> lengths = dataset.lengths(Split::train);
  const TrainingOptions options = options_of(150, 800, 200);
  const EpochPlan plan = RunPlan(lengths, options, 2).epoch(4);
  const auto decoder = make_training_decoder(dataset.index(), {}, 1, 1);
  std::size_t sentences = 0;
  for (int rank = 0; rank < 2; ++rank) {
    Prefetcher batches(dataset, Split::train, rank_batches(plan, rank, false, 4, 1), *decoder, 3);
    Batch batch;
    for (const std::vector<int64_t>& rows : batches_of(plan, rank, 4, 1)) {
      ASSERT_TRUE(batches.next(&batch));
      ASSERT_EQ(batch.rows, rows);
      const Batch whole = read_batch(dataset, Split::train, rows);
      EXPECT_EQ(batch.tokens, whole.tokens);
      ASSERT_EQ(batch.lengths.size(), rows.size());
      for (std::size_t k = 0; k < rows.size(); ++k) EXPECT_EQ(batch.lengths[k], lengths[rows[k]]);
      sentences += rows.size();
    }
    EXPECT_FALSE(batches.next(&batch));
  }
  const StepPlan first = plan.step(0);
  const auto left = lengths.size() - sentences;
  EXPECT_EQ(first.micro_batches.back().first + first.micro_batches.back().count,
            static_cast<int64_t>(left));
}

}  // namespace
}  // namespace bitstill
