#include "bitstill/train/run_plan.hpp"

#include <algorithm>
#include <utility>

#include "bitstill/comm/agree.hpp"
#include "bitstill/data/sampler.hpp"
#include "bitstill/infer/sentence_lengths.hpp"

namespace bitstill {
namespace {

/// train.micro_tokens = 0: a rank's part of a step, at least the longest sentence.
int64_t micro_tokens(const TrainOptions& train, const std::vector<SentenceLengths>& lengths,
                     int world) {
  if (train.micro_tokens > 0) return train.micro_tokens;
  int64_t most = std::max<int64_t>(train.global_tokens / world, 1);
  for (const SentenceLengths& pair : lengths) most = std::max(most, padded_length(pair));
  return most;
}

RunPlan plan_for(const Dataset& dataset, const TrainingOptions& options, Communicator& comm) {
  if (dataset.index().content == Content::tokens) {
    return {lengths_for_all(dataset, Split::train, comm), options, comm.world()};
  }
  return {dataset.size(Split::train), options, comm.world()};
}

}  // namespace

RunPlan::RunPlan(int64_t images, const TrainingOptions& options, int world)
    : seed_(static_cast<uint64_t>(options.run.seed)),
      world_(world),
      images_(images),
      global_batch_(options.train.global_batch),
      micro_batch_(options.train.micro_batch) {}

RunPlan::RunPlan(std::vector<SentenceLengths> lengths, const TrainingOptions& options, int world)
    : seed_(static_cast<uint64_t>(options.run.seed)),
      world_(world),
      lengths_(std::move(lengths)),
      buckets_{options.window, micro_tokens(options.train, lengths_, world),
               options.train.global_tokens} {}

EpochPlan RunPlan::epoch(int64_t epoch) const {
  if (global_batch_ == 0) return {bucket_epoch(lengths_, buckets_, seed_, epoch), world_};
  return {epoch_order(images_, seed_, epoch), global_batch_, micro_batch_, world_};
}

double RunPlan::padding() const {
  if (global_batch_ > 0) return 0;
  return padding_share(bucket_epoch(lengths_, buckets_, seed_, 0), lengths_);
}

RunPlan make_run_plan(const Dataset& dataset, const TrainingOptions& options, Communicator& comm) {
  RunPlan plan = plan_for(dataset, options, comm);
  agree(comm, [&] { plan.epoch(0); });  // what cannot be is said at the start
  return plan;
}

}  // namespace bitstill
