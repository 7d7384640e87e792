#include "evaluate_sentences.hpp"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/argmax.h>
#include <ATen/ops/log_softmax.h>

#include <algorithm>

#include "bitstill/comm/agree.hpp"
#include "bitstill/data/length_buckets.hpp"
#include "bitstill/data/prefetch.hpp"
#include "bitstill/infer/sentence_lengths.hpp"

namespace bitstill {
namespace {

constexpr int64_t kPaddedTokens = 2048;  // of a forward pass
constexpr int64_t kSliceRows = 256;      // whose logits are in memory at once

void add_rows(const at::Tensor& logits, const at::Tensor& labels, ClassificationCounts* counts) {
  const at::Tensor losses = at::log_softmax(logits.to(at::kFloat), 1)
                                .gather(1, labels.unsqueeze(1))
                                .neg()
                                .to(at::kCPU)
                                .contiguous();
  counts->samples += labels.numel();
  counts->correct += logits.argmax(1).eq(labels).sum().item<int64_t>();
  const float* const values = losses.const_data_ptr<float>();
  for (int64_t i = 0; i < losses.numel(); ++i) counts->add_loss(values[i]);
}

void add_batch(const Network& network, const Batch& batch, const at::Device& device,
               ClassificationCounts* counts) {
  const Tokens tokens = to_tokens(batch, network.spec().ends, device);
  const at::Tensor hidden = network.hidden(tokens, ForwardMode{});
  for (int64_t first = 0; first < tokens.terms(); first += kSliceRows) {
    const int64_t rows = std::min(kSliceRows, tokens.terms() - first);
    add_rows(network.head(hidden.narrow(0, first, rows), ForwardMode{}),
             tokens.labels.narrow(0, first, rows), counts);
  }
}

}  // namespace

ClassificationCounts count_tokens(const Network& network, const Dataset& dataset, Split split,
                                  const EvaluateOptions& options, Communicator& comm) {
  ClassificationCounts counts;
  const std::vector<SentenceLengths> lengths = lengths_for_all(dataset, split, comm);
  agree(comm, [&] {
    const at::NoGradGuard no_grad;
    // Dealt one by one: they grow longer.
    const BatchPlan mine = [batches = batches_by_length(lengths, kPaddedTokens), rank = comm.rank(),
                            world = comm.world()](int64_t n, std::vector<int64_t>* rows,
                                                  int64_t* epoch) {
      const auto number = static_cast<std::size_t>(rank + n * world);
      if (number >= batches.size()) return false;
      *epoch = 0;
      *rows = batches[number];
      return true;
    };
    Prefetcher prefetcher(dataset, split, mine, dataset.decoder(), 2);
    for (Batch batch; prefetcher.next(&batch);) {
      add_batch(network, batch, options.device, &counts);
      if (options.progress) options.progress(false);
    }
    if (options.progress) options.progress(true);
  });
  return counts;
}

}  // namespace bitstill
