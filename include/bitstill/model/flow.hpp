// What passes through the units of a network of sentences.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "bitstill/data/batch.hpp"

namespace bitstill {

/// The ids that stand around a target sentence.
struct TargetEnds {
  int64_t begin = 1, end = 2;
};

/// A micro-batch of n sentence pairs as tensors, int64, time before sentences, padded at the end by
/// id 0. Target position t of a sentence of u tokens has <s> (t = 0) or token t - 1, and what
/// follows it, token t or </s> (t = u), is its label: u + 1 terms a sentence.
struct Tokens {
  at::Tensor source;          // [S, n]
  at::Tensor source_lengths;  // [n], on the CPU
  at::Tensor target;          // [U, n], U = the longest + 1
  at::Tensor target_lengths;  // [n], terms of each sentence, on the CPU
  at::Tensor rows;            // [terms]: t * n + k of the real positions, sentence after sentence
  at::Tensor labels;          // [terms]
  int64_t sentences() const { return source_lengths.numel(); }
  int64_t terms() const { return labels.numel(); }
};

/// Of the sentences of `batch` (its tokens and lengths), on `device`. Targets may be absent: then
/// they are empty sentences.
Tokens to_tokens(const Batch& batch, const TargetEnds& ends, const at::Device& device);

/// Between two units. Images have x alone.
struct Flow {
  at::Tensor x;        // what a unit takes and leaves
  at::Tensor memory;   // [S, n, size]: the encoder's output
  at::Tensor masked;   // bool [n, S]: positions of the source that are padding
  at::Tensor summary;  // the encoder's last state, as its decoder takes it
  const Tokens* tokens = nullptr;
};

}  // namespace bitstill
