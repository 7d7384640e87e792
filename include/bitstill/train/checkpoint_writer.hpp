// Writes checkpoints while training goes on: each rank its parts, from a copy.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "bitstill/comm/world.hpp"
#include "bitstill/store/model_file.hpp"
#include "bitstill/train/options.hpp"

namespace bitstill {

/// Where checkpoints go, and what becomes of them.
struct WriterOptions {
  std::string folder;  // RUN/checkpoints, which exists
  RunOptions run;      // keep, keep_every, on_storage_error
  Overlap overlap = Overlap::automatic;
  /// Rank 0, right before a checkpoint is published; throws when the folder is no longer this
  /// job's.
  std::function<void()> may_publish = [] {};
  /// Rank 0: the checkpoint of this step is on disk. From the writer's thread.
  std::function<void(int64_t step)> published = [](int64_t) {};
};

/// What belongs to a checkpoint besides its tensors.
struct CheckpointMark {
  int64_t step = 0, epoch = 0;  // completed
  int64_t best_step = 0;        // train.select = best: whose masters go with it; 0: none
  bool operator==(const CheckpointMark&) const = default;
};

/// The copies are compared between ranks before anything is written, so that a state which has come
/// apart is never saved: AgreedError(numbers) names tensor and ranks. Errors of the writing thread
/// are thrown by the next save() or wait(), on all ranks alike.
class CheckpointWriter {
 public:
  /// Collective: every rank of world calls this, in the same order, as all calls below.
  CheckpointWriter(World& world, WriterOptions options);
  ~CheckpointWriter();

  /// Copies `state` (train/checkpoint.hpp), and `best` unless null: the masters of mark.best_step,
  /// which this is then the first checkpoint to name. Returns while they are being written; before
  /// that waits for those of the call before. A checkpoint that is there already is not written
  /// again. `must`: a full disk is an error whatever run.on_storage_error says.
  void save(const ModelFile& state, const ModelFile* best, const CheckpointMark& mark, bool must);
  /// Until what was begun is on disk.
  void wait();
  /// This checkpoint is on disk, with that manifest.
  void resumed_from(const CheckpointMark& mark, const Manifest& manifest);

 private:
  struct Work;
  std::shared_ptr<Work> work_;  // the writing thread may outlive the writer
  std::unique_ptr<Channel> channel_;
  EventPtr begun_;
};

/// A text of each tensor's bytes and of where the run stands, by name: equal on ranks whose states
/// are.
std::vector<std::pair<std::string, std::string>> fingerprints(const ModelFile& state);

}  // namespace bitstill
