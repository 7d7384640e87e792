#include "bitstill/infer/evaluate.hpp"

#include <algorithm>

#include "bitstill/comm/agree.hpp"
#include "bitstill/infer/logits.hpp"

namespace bitstill {
namespace {

/// This rank's batches of the split, in order.
void each_batch(const Dataset& dataset, Split split, const EvaluateOptions& options,
                Communicator& comm, const std::function<void(const Batch&)>& take) {
  const int64_t samples = dataset.size(split);
  const int64_t batches = (samples + options.batch - 1) / options.batch;
  const int64_t first = batches * comm.rank() / comm.world();
  const int64_t end = batches * (comm.rank() + 1) / comm.world();
  agree(comm, [&] {
    const BatchPlan plan = [&](int64_t n, std::vector<int64_t>* rows, int64_t* epoch) {
      if (first + n >= end) return false;
      *epoch = 0;
      rows->clear();
      const int64_t from = (first + n) * options.batch;
      for (int64_t i = from; i < std::min(samples, from + options.batch); ++i) rows->push_back(i);
      return true;
    };
    Prefetcher batches_of_rank(dataset, split, plan, dataset.decoder(), 2);
    Batch batch;
    while (batches_of_rank.next(&batch)) {
      take(batch);
      if (options.progress) options.progress(false);
    }
    if (options.progress) options.progress(true);
  });
}

void sum_over_ranks(std::vector<int64_t>& sums, Communicator& comm) {
  comm.all_reduce(sums.data(), static_cast<int64_t>(sums.size()), ElementType::i64);
}

void sum_over_ranks(PairCounts& pairs, Communicator& comm) {
  std::vector<int64_t> sums;
  for (const int64_t* part : pairs.sums()) sums.push_back(*part);
  sum_over_ranks(sums, comm);
  auto next = sums.begin();
  for (int64_t* part : pairs.sums()) *part = *next++;
}

void add_batch(const Logits& model, const Logits* reference, const Batch& batch,
               FullEvaluation* result) {
  for (int64_t i = 0; i < batch.count(); ++i) {
    const int64_t label = batch.labels[static_cast<std::size_t>(i)];
    const SampleScore score = score_sample(model.row(i), label);
    result->model.add(score, label);
    if (reference == nullptr) continue;
    const SampleScore other = score_sample(reference->row(i), label);
    result->against->reference.add(other, label);
    const double kl = kl_divergence(log_softmax(reference->row(i)), log_softmax(model.row(i)));
    result->against->pairs.add(other, score, label, kl);
  }
}

}  // namespace

ClassificationCounts evaluate(const Network& network, const Dataset& dataset, Split split,
                              const EvaluateOptions& options, Communicator& comm) {
  ClassificationCounts counts;
  each_batch(dataset, split, options, comm, [&](const Batch& batch) {
    const Logits logits = forward_batch(network, batch, options.device, options.channels_last);
    for (int64_t i = 0; i < batch.count(); ++i) {
      const int64_t label = batch.labels[static_cast<std::size_t>(i)];
      const SampleScore score = score_sample(logits.row(i), label);
      counts.samples += 1;
      counts.correct += score.predicted == label ? 1 : 0;
      counts.add_loss(score.loss);
    }
  });
  std::vector<int64_t> sums = {counts.samples, counts.correct, counts.loss_units};
  sum_over_ranks(sums, comm);
  return {sums[0], sums[1], sums[2]};
}

FullEvaluation evaluate_fully(const LoadedModel& model, const LoadedModel* reference,
                              const Dataset& dataset, Split split, const EvaluateOptions& options,
                              Communicator& comm) {
  const auto classes = static_cast<int64_t>(dataset.index().classes.size());
  FullEvaluation result{ClassificationTally(classes), {}};
  if (reference != nullptr) result.against = {ClassificationTally(classes), PairCounts()};
  const auto answer = [&](const LoadedModel& asked, const Batch& batch) {
    return forward_batch(*asked.network, batch, options.device, options.channels_last,
                         asked.frozen.get());
  };
  each_batch(dataset, split, options, comm, [&](const Batch& batch) {
    const Logits logits = answer(model, batch);
    if (reference == nullptr) return add_batch(logits, nullptr, batch, &result);
    const Logits others = answer(*reference, batch);
    add_batch(logits, &others, batch, &result);
  });
  sum_over_ranks(result.model.sums(), comm);
  if (result.against) {
    sum_over_ranks(result.against->reference.sums(), comm);
    sum_over_ranks(result.against->pairs, comm);
  }
  return result;
}

}  // namespace bitstill
