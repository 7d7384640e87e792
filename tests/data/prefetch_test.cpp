#include "bitstill/data/prefetch.hpp"

#include <atomic>
#include <chrono>
#include <thread>

#include "data_fixture.hpp"

namespace bitstill {
namespace {

/// Batches of 4, 0, 4, 0, ... rows of the 23 of SmallSet.
bool plan_batches(int64_t n, std::vector<int64_t>* rows, int64_t* epoch) {
  *epoch = 1;
  for (int64_t row = n / 2 * 4; n % 2 == 0 && row < std::min<int64_t>(n / 2 * 4 + 4, 23); ++row) {
    rows->push_back(22 - row);
  }
  return n < 12;
}

TEST(Prefetcher, GivesTheBatchesInOrder) {
  const ScratchFolder scratch;
  const SmallSet set(scratch / "set");
  const Dataset dataset(scratch / "set");
  for (const int depth : {1, 3, 50}) {
    Prefetcher prefetcher(dataset, Split::train, plan_batches, dataset.decoder(), depth);
    Batch batch;
    for (int64_t n = 0; n < 12; ++n) {
      ASSERT_TRUE(prefetcher.next(&batch));
      std::vector<int64_t> rows;
      int64_t epoch = 0;
      plan_batches(n, &rows, &epoch);
      EXPECT_EQ(batch.rows, rows);
      const Rows expected = read_rows(dataset, Split::train, rows);
      EXPECT_EQ(batch.pixels, expected.pixels);
      EXPECT_EQ(batch.labels, expected.labels);
    }
    EXPECT_FALSE(prefetcher.next(&batch));
    EXPECT_FALSE(prefetcher.next(&batch));
  }
}

TEST(Prefetcher, AugmentsEachRowByItsNumber) {
  const ScratchFolder scratch;
  const SmallSet set(scratch / "set");
  const Dataset dataset(scratch / "set");
  const AugmentationOptions options{2, true, 0};
  const auto decoder = make_training_decoder(dataset.index(), options, 9, 1);
  Prefetcher prefetcher(dataset, Split::train, plan_batches, *decoder, 2);
  const std::vector<uint8_t> fill(3);
  for (Batch batch; prefetcher.next(&batch);) {
    for (std::size_t k = 0; k < batch.rows.size(); ++k) {
      std::vector<uint8_t> expected(105);
      augment(&set.rows[0].pixels[batch.rows[k] * 105], expected.data(), set.shape, fill.data(),
              options, 9, 1, batch.rows[k]);
      EXPECT_TRUE(std::equal(expected.begin(), expected.end(), &batch.pixels[k * 105]));
    }
  }
}

TEST(Prefetcher, AnErrorComesAfterTheBatchesBeforeIt) {
  const ScratchFolder scratch;
  const SmallSet set(scratch / "set");
  flip_byte(scratch / "set/train-00000.h5",
            read_index(scratch / "set").shards[0][0].layout.content + 5);
  const Dataset dataset(scratch / "set");
  const auto plan = [](int64_t n, std::vector<int64_t>* rows, int64_t*) {
    rows->push_back(3 - n);
    return true;
  };
  Prefetcher prefetcher(dataset, Split::train, plan, dataset.decoder(), 8);
  Batch batch;
  for (int64_t n = 0; n < 3; ++n) {
    ASSERT_TRUE(prefetcher.next(&batch));
    EXPECT_EQ(batch.rows[0], 3 - n);
  }
  for (int again = 0; again < 2; ++again) {
    EXPECT_HOLDS(error_of(ExitCode::data, [&] { prefetcher.next(&batch); }),
                 "train-00000.h5, row 0");
  }
}

TEST(Prefetcher, AHookAddsToBatchesWithSamplesAndFailsAsReadingWould) {
  const ScratchFolder scratch;
  const SmallSet set(scratch / "set");
  const Dataset dataset(scratch / "set");
  const AugmentationOptions options{1, false, 3};
  const auto decoder = make_training_decoder(dataset.index(), options, 9, 1);
  const auto hook = [](Batch* batch) {
    if (batch->rows[0] == 22 - 16) throw Error(ExitCode::data, "the hook's own");
    batch->kept.assign(batch->rows.begin(), batch->rows.end());
    batch->kept.push_back(static_cast<float>(batch->variant));
  };
  Prefetcher prefetcher(dataset, Split::train, plan_batches, *decoder, 3, hook);
  Batch batch;
  for (int64_t n = 0; n < 8; ++n) {
    ASSERT_TRUE(prefetcher.next(&batch));
    std::vector<float> expected(batch.rows.begin(), batch.rows.end());
    if (n % 2 == 0) expected.push_back(1);  // epoch 1 shows variant 1
    EXPECT_EQ(batch.kept, expected);
  }
  EXPECT_HOLDS(error_of(ExitCode::data, [&] { prefetcher.next(&batch); }), "the hook's own");
}

TEST(Prefetcher, KeepsNoMoreThanItsDepthAndStopsWhenLeft) {
  const ScratchFolder scratch;
  const SmallSet set(scratch / "set");
  const Dataset dataset(scratch / "set");
  std::atomic<int64_t> asked{0};
  {
    const auto endless = [&](int64_t n, std::vector<int64_t>* rows, int64_t*) {
      rows->assign(2, n % 23);
      ++asked;
      return true;
    };
    Prefetcher prefetcher(dataset, Split::train, endless, dataset.decoder(), 3);
    Batch batch;
    for (int64_t n = 0; n < 5; ++n) ASSERT_TRUE(prefetcher.next(&batch));
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    EXPECT_LE(asked.load(), 5 + 3);
  }
  const int64_t after = asked;
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_EQ(asked.load(), after);
}

}  // namespace
}  // namespace bitstill
