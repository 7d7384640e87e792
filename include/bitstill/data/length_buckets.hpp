// Micro-batches of sentences that are about as long as each other, so that little is padded.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "bitstill/data/batch.hpp"

namespace bitstill {

/// Tokens of a sentence alone, of the longer side; its target has an end.
int64_t padded_length(const SentenceLengths& lengths);

struct BucketOptions {
  int64_t window = 100000;     // sentences of the epoch's order that are sorted together
  int64_t micro_tokens = 512;  // padded tokens of a micro-batch, at most
  /// Target tokens of a step, at most, unless a single micro-batch has more.
  int64_t global_tokens = 4000;
};

/// Sentences [first, first + count) of an epoch's order.
struct SentenceBatch {
  int64_t first = 0, count = 0;
  int64_t padded = 0;  // count x max(longest source, longest target + 1)
  int64_t terms = 0;   // target tokens that the loss has, each sentence's end among them
  bool operator==(const SentenceBatch&) const = default;
};

/// An epoch: each sentence once, micro-batches as ranges of the order, steps as ranges of these.
struct BucketedEpoch {
  std::vector<int64_t> order;
  std::vector<SentenceBatch> micro_batches;
  std::vector<int64_t> step_first;  // [steps + 1]: step s has [step_first[s], step_first[s + 1])
  int64_t steps() const { return static_cast<int64_t>(step_first.size()) - 1; }
  std::span<const SentenceBatch> step(int64_t index) const;
};

/// A function of its arguments alone, the same on every rank and for every world size:
/// epoch_order() is cut into windows, each is sorted by target and source length and cut into
/// micro-batches, these are shuffled and fill steps in that order. Error(settings) where
/// micro_tokens is below the longest sentence or an option below 1.
BucketedEpoch bucket_epoch(std::span<const SentenceLengths> lengths, const BucketOptions& options,
                           uint64_t seed, int64_t epoch);

/// Whose micro-batches are whose: rank r has [first[r], first[r + 1]) of a step's, consecutive ones
/// of about equal padded tokens. [world + 1], as LeafTree takes it.
std::vector<int64_t> deal_to_ranks(std::span<const SentenceBatch> step, int world);

/// All rows, sorted by target and source length and cut into batches of at most so many padded
/// tokens, or of one sentence: for evaluation.
std::vector<std::vector<int64_t>> batches_by_length(std::span<const SentenceLengths> lengths,
                                                    int64_t padded_tokens);

/// What is padding of all that an epoch's encoder and decoder go through, 0 to 1: sources and
/// targets (with their end) are padded to the longest of their micro-batch.
double padding_share(const BucketedEpoch& epoch, std::span<const SentenceLengths> lengths);

}  // namespace bitstill
