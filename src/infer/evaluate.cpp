#include "bitstill/infer/evaluate.hpp"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/argmax.h>
#include <ATen/ops/log_softmax.h>

#include <algorithm>

#include "bitstill/comm/agree.hpp"
#include "bitstill/model/input.hpp"

namespace bitstill {
namespace {

void add_batch(const Network& network, const Batch& batch, const Normalization& normalization,
               const EvaluateOptions& options, ClassificationCounts* counts) {
  const auto x =
      to_input(batch, network.spec().input, normalization, options.device, options.channels_last);
  const auto labels = to_labels(batch, options.device);
  const auto logits = network.forward(x, ForwardMode{}).to(at::kFloat);
  const auto losses = (-at::log_softmax(logits, 1).gather(1, labels.unsqueeze(1))).cpu();
  counts->samples += batch.count();
  counts->correct += logits.argmax(1).eq(labels).sum().item<int64_t>();
  const float* loss = losses.const_data_ptr<float>();
  for (int64_t i = 0; i < batch.count(); ++i) counts->add_loss(loss[i]);
}

}  // namespace

ClassificationCounts evaluate(const Network& network, const Dataset& dataset, Split split,
                              const Normalization& normalization, const EvaluateOptions& options,
                              Communicator& comm) {
  ClassificationCounts counts;
  const int64_t samples = dataset.size(split);
  const int64_t batches = (samples + options.batch - 1) / options.batch;
  const int64_t first = batches * comm.rank() / comm.world();
  const int64_t end = batches * (comm.rank() + 1) / comm.world();
  agree(comm, [&] {
    at::NoGradGuard no_grad;
    const BatchPlan plan = [&](int64_t n, std::vector<int64_t>* rows, int64_t* epoch) {
      if (first + n >= end) return false;
      *epoch = 0;
      rows->clear();
      const int64_t from = (first + n) * options.batch;
      for (int64_t i = from; i < std::min(samples, from + options.batch); ++i) rows->push_back(i);
      return true;
    };
    Prefetcher batches_of_rank(dataset, split, plan, nullptr, 0, 2);
    Batch batch;
    while (batches_of_rank.next(&batch)) {
      add_batch(network, batch, normalization, options, &counts);
      if (options.progress) options.progress(false);
    }
    if (options.progress) options.progress(true);
  });
  int64_t sums[] = {counts.samples, counts.correct, counts.loss_units};
  comm.all_reduce(sums, 3, ElementType::i64);
  return {sums[0], sums[1], sums[2]};
}

}  // namespace bitstill
