// Checkpoints written by 1, 2 and 4 ranks, in the background and where the thread is off.
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <ATen/ops/randn.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "../base/scratch_folder.hpp"
#include "../base/thrown_error.hpp"
#include "bitstill/base/file.hpp"
#include "bitstill/base/text.hpp"
#include "bitstill/comm/agree.hpp"
#include "bitstill/store/checkpoint_folder.hpp"
#include "bitstill/train/checkpoint_writer.hpp"
#include "rank_main.hpp"

namespace bitstill {
namespace {

namespace fs = std::filesystem;

/// Of rank 0, for all.
class CheckpointWriterTest : public testing::TestWithParam<Overlap> {
 protected:
  CheckpointWriterTest() {
    Communicator& control = rank_world().control();
    folder_ = broadcast_text(control, control.rank() == 0 ? scratch_.path() : "", 0);
  }
  ~CheckpointWriterTest() override {
    agree(rank_world().control(), [] {});
  }

  static bool root() { return rank_world().place().rank == 0; }
  static int ranks() { return rank_world().place().world; }
  WriterOptions options() const {
    WriterOptions options;
    options.folder = folder_;
    options.overlap = GetParam();
    return options;
  }
  std::string path(int64_t step) const { return concat(folder_, '/', checkpoint_name(step)); }

  ScratchFolder scratch_;  // rank 0's is used
  std::string folder_;
};

ModelFile small_state(double value) {
  return {Json{{"kind", "checkpoint"}, {"progress", {{"step", 1}}}},
          {{"a", at::full({7, 3}, value)},
           {"b", at::full({5}, value, at::kLong)},
           {"c", at::full({0}, 0)}},
          {}};
}

TEST_P(CheckpointWriterTest, WritesTheStateOfTheCall) {
  CheckpointWriter writer(rank_world(), options());
  ModelFile state = small_state(1);
  state.attached = {{"vocabulary.joint", at::full({9}, 3, at::kByte)}};
  writer.save(state, nullptr, {5, 0, 0}, false);
  for (auto& [name, tensor] : state.tensors) tensor.fill_(2);  // training goes on
  writer.wait();
  const ModelFile file = read_model_file(path(5));
  ASSERT_EQ(file.tensors.size(), 3u);
  EXPECT_TRUE(at::equal(file.tensors[0].second, at::full({7, 3}, 1.0)));
  EXPECT_TRUE(at::equal(file.tensors[1].second, at::full({5}, 1, at::kLong)));
  EXPECT_EQ(file.attached.size(), 1u);
  EXPECT_EQ(file.about["kind"], "checkpoint");
  writer.save(state, nullptr, {6, 1, 0}, false);
  writer.wait();
  EXPECT_TRUE(at::equal(read_model_file(path(6)).tensors[0].second, at::full({7, 3}, 2.0)));
  EXPECT_EQ(read_manifest(path(6)).epoch, 1);
}

TEST_P(CheckpointWriterTest, LargeOnesAreWrittenInParts) {
  CheckpointWriter writer(rank_world(), options());
  ModelFile state{Json{{"kind", "checkpoint"}}, {}, {}};
  at::manual_seed(1);
  for (int i = 0; i < 9; ++i) state.tensors.emplace_back(concat("t", i), at::randn({1 << 20}));
  writer.save(state, nullptr, {5, 0, 0}, false);
  writer.wait();
  EXPECT_EQ(read_manifest(path(5)).parts.size(), static_cast<std::size_t>(std::min(ranks(), 2)));
  const ModelFile file = read_model_file(path(5));
  ASSERT_EQ(file.tensors.size(), state.tensors.size());
  for (std::size_t i = 0; i < file.tensors.size(); ++i) {
    EXPECT_EQ(file.tensors[i].first, state.tensors[i].first);
    EXPECT_TRUE(at::equal(file.tensors[i].second, state.tensors[i].second));
  }
}

TEST_P(CheckpointWriterTest, AStateThatHasComeApartIsNotSaved) {
  if (ranks() == 1) GTEST_SKIP() << "one rank has nobody to differ from";
  CheckpointWriter writer(rank_world(), options());
  writer.save(small_state(1), nullptr, {4, 0, 0}, false);
  writer.wait();
  ModelFile state = small_state(1);
  if (rank_world().place().rank == ranks() - 1) state.tensors[1].second[3] = 7;
  const std::string text = error_of(ExitCode::numbers, [&] {
    writer.save(state, nullptr, {5, 0, 0}, false);
    writer.wait();
  });
  EXPECT_EQ(text.find("b after step 5 differs: "), 0u) << text;
  EXPECT_HOLDS(text, concat("rank ", ranks() - 1));
  EXPECT_EQ(checkpoint_steps(folder_), (std::vector<int64_t>{4}));
}

TEST_P(CheckpointWriterTest, WhereTheRunStandsIsComparedToo) {
  if (ranks() == 1) GTEST_SKIP() << "one rank has nobody to differ from";
  CheckpointWriter writer(rank_world(), options());
  ModelFile state = small_state(1);
  if (!root()) state.about["progress"]["step"] = 2;
  EXPECT_HOLDS(error_of(ExitCode::numbers,
                        [&] {
                          writer.save(state, nullptr, {5, 0, 0}, false);
                          writer.wait();
                        }),
               "progress");
}

/// A file where the checkpoint's folder is to grow.
TEST_P(CheckpointWriterTest, AFolderThatCannotBeWritten) {
  for (const OnStorageError what : {OnStorageError::stop, OnStorageError::go_on}) {
    WriterOptions wanted = options();
    wanted.run.on_storage_error = what;
    CheckpointWriter writer(rank_world(), wanted);
    writer.save(small_state(1), nullptr, {4, 0, 0}, false);
    writer.wait();
    const auto occupy = [&] {
      rank_world().control().barrier();  // others still look
      agree(rank_world().control(), [&] {
        if (!root()) return;
        fs::rename(folder_, folder_ + ".away");
        replace_file(folder_, "in the way");
      });
    };
    const auto vacate = [&] {
      agree(rank_world().control(), [&] {
        if (!root()) return;
        fs::remove(folder_);
        fs::rename(folder_ + ".away", folder_);
      });
    };
    const auto save = [&](int64_t step, bool must) {
      writer.save(small_state(1), nullptr, {step, 0, 0}, must);
      writer.wait();
    };
    occupy();
    if (what == OnStorageError::stop) {
      EXPECT_HOLDS(error_of(ExitCode::storage, [&] { save(5, false); }), "step-000000005");
      vacate();
      EXPECT_EQ(checkpoint_steps(folder_), (std::vector<int64_t>{4}));
      continue;
    }
    save(5, false);
    vacate();
    EXPECT_EQ(checkpoint_steps(folder_), (std::vector<int64_t>{4}));
    save(5, false);  // the disk has room again
    EXPECT_EQ(checkpoint_steps(folder_), (std::vector<int64_t>{5, 4}));
    occupy();
    error_of(ExitCode::storage, [&] { save(6, true); });  // what a signal asked for
    vacate();
  }
}

TEST_P(CheckpointWriterTest, AJobThatLostItsFolderPublishesNothing) {
  WriterOptions wanted = options();
  bool held = true;
  std::vector<int64_t> published;
  wanted.may_publish = [&] {
    if (!held) throw Error(ExitCode::peer, "taken over");
  };
  wanted.published = [&](int64_t step) { published.push_back(step); };
  CheckpointWriter writer(rank_world(), wanted);
  writer.save(small_state(1), nullptr, {4, 0, 0}, false);
  writer.wait();
  held = false;
  error_of(ExitCode::peer, [&] {
    writer.save(small_state(1), nullptr, {5, 0, 0}, false);
    writer.wait();
  });
  EXPECT_EQ(checkpoint_steps(folder_), (std::vector<int64_t>{4}));
  if (!root()) return;
  EXPECT_EQ(published, (std::vector<int64_t>{4}));
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_), {}), 1);  // nothing is left
}

TEST_P(CheckpointWriterTest, TheBestMastersAreSharedByCheckpoints) {
  CheckpointWriter writer(rank_world(), options());
  const ModelFile best{Json{{"kind", "weights"}}, {{"a", at::full({3}, 8.0)}}, {}};
  writer.save(small_state(1), &best, {4, 1, 4}, false);
  writer.save(small_state(2), nullptr, {5, 1, 4}, false);
  writer.wait();
  {
    CheckpointWriter again(rank_world(), options());  // resumed
    again.resumed_from({5, 1, 4}, read_manifest(path(5)));
    again.save(small_state(2), nullptr, {5, 1, 4}, false);  // is there
    again.save(small_state(3), nullptr, {6, 1, 4}, false);
    again.wait();
  }
  for (const int64_t step : {4, 5, 6}) {
    const Manifest manifest = read_manifest(path(step));
    EXPECT_EQ(manifest.best_step, 4);
    verify_checkpoint(path(step));
  }
  EXPECT_TRUE(at::equal(read_model_file(concat(folder_, '/', best_name(4))).tensors[0].second,
                        at::full({3}, 8.0)));
}

/// A folder where their file is to be.
TEST_P(CheckpointWriterTest, BestMastersThatCouldNotBeWrittenAreWrittenLater) {
  WriterOptions wanted = options();
  wanted.run.on_storage_error = OnStorageError::go_on;
  CheckpointWriter writer(rank_world(), wanted);
  const std::string file = concat(folder_, '/', best_name(4));
  const ModelFile best{Json{{"kind", "weights"}}, {{"a", at::full({3}, 8.0)}}, {}};
  agree(rank_world().control(), [&] {
    if (root()) fs::create_directories(file + "/in the way");
  });
  writer.save(small_state(1), &best, {4, 1, 4}, false);
  writer.wait();
  EXPECT_EQ(checkpoint_steps(folder_), std::vector<int64_t>{});
  agree(rank_world().control(), [&] {
    if (root()) fs::remove_all(file);
  });
  writer.save(small_state(2), nullptr, {5, 1, 4}, false);
  writer.wait();
  EXPECT_EQ(checkpoint_steps(folder_), (std::vector<int64_t>{5}));
  verify_checkpoint(path(5));
  EXPECT_TRUE(at::equal(read_model_file(file).tensors[0].second, at::full({3}, 8.0)));
}

INSTANTIATE_TEST_SUITE_P(Threads, CheckpointWriterTest,
                         testing::Values(Overlap::automatic, Overlap::off));

}  // namespace
}  // namespace bitstill
