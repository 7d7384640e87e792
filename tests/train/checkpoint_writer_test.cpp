// Ranks are threads: the memory that training and the writing threads share.
#include "bitstill/train/checkpoint_writer.hpp"

#include <ATen/Parallel.h>
#include <ATen/ops/full.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <vector>

#include "../base/scratch_folder.hpp"
#include "../base/thrown_error.hpp"
#include "../comm/thread_rank.hpp"
#include "bitstill/base/text.hpp"
#include "bitstill/comm/thread_world.hpp"
#include "bitstill/store/checkpoint_folder.hpp"

namespace bitstill {
namespace {

/// 34 MB: two ranks write a part each.
ModelFile state_of(double value) {
  return {Json{{"kind", "checkpoint"}, {"progress", {{"step", 1}}}},
          {{"a", at::full({17, 1 << 18}, value)}, {"b", at::full({17, 1 << 18}, value)}},
          {}};
}

TEST(CheckpointWriter, TrainingGoesOnWhileItWrites) {
  at::set_num_threads(1);
  const ScratchFolder scratch;
  std::vector<int64_t> published;
  run_as_ranks(2, [&](Communicator& comm) {
    ThreadRank world(comm);
    WriterOptions options;
    options.folder = scratch.path();
    options.run.keep = 2;
    options.published = [&](int64_t step) { published.push_back(step); };
    CheckpointWriter writer(world, options);
    ModelFile state = state_of(0);
    for (int64_t step = 1; step <= 3; ++step) {
      for (auto& [name, tensor] : state.tensors) tensor.fill_(step);
      const ModelFile best{Json{{"kind", "weights"}}, {{"a", at::full({3}, 1.0 * step)}}, {}};
      writer.save(state, &best, {step, 0, step}, false);
      for (auto& [name, tensor] : state.tensors) tensor.fill_(-step);  // the next step's update
    }
    writer.wait();
    if (comm.rank() > 0) return;
    EXPECT_EQ(published, (std::vector<int64_t>{1, 2, 3}));
  });
  EXPECT_EQ(checkpoint_steps(scratch.path()), (std::vector<int64_t>{3, 2}));
  for (const int64_t step : {2, 3}) {
    const std::string path = scratch / checkpoint_name(step);
    EXPECT_EQ(read_manifest(path).parts.size(), 2u);
    for (const auto& [name, tensor] : read_model_file(path).tensors) {
      EXPECT_TRUE(tensor.eq(step).all().item<bool>()) << name << " of step " << step;
    }
    EXPECT_EQ(read_model_file(scratch / best_name(step)).tensors[0].second[2].item<double>(), step);
  }
}

/// Its thread waits for a rank that never comes and outlives the writer and the state.
TEST(CheckpointWriter, AFailingRankLeavesItsThreadBehind) {
  const ScratchFolder scratch;
  EXPECT_HOLDS(error_of(ExitCode::data,
                        [&] {
                          run_as_ranks(2, [&](Communicator& comm) {
                            ThreadRank world(comm);
                            WriterOptions options;
                            options.folder = scratch.path();
                            CheckpointWriter writer(world, options);
                            if (comm.rank() == 1) comm.barrier();  // until rank 0 has failed
                            writer.save(state_of(1), nullptr, {1, 0, 0}, false);
                            throw Error(ExitCode::data, "planted failure");
                          });
                        }),
               "planted failure");
  EXPECT_TRUE(std::filesystem::is_empty(scratch.path()));
}

}  // namespace
}  // namespace bitstill
