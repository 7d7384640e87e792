// Sentences: the head and the loss of a micro-batch's target rows, a slice of them at a time, so
// that logits of all rows by all pieces never lie in memory together.
#pragma once

#include <functional>

#include "bitstill/model/network.hpp"
#include "bitstill/teacher/teacher.hpp"
#include "bitstill/train/loss.hpp"

namespace bitstill {

struct SliceSettings {
  DistillOptions distill;  // slice_rows: rows a slice
  double label_smoothing = 0;
  int64_t step_terms = 1;  // over all ranks: what the loss' mean divides by
  bool bf16 = false;
};

struct SlicedLoss {
  at::Tensor sums;      // [3] fp32, as Loss has them, over all rows
  at::Tensor gradient;  // of the step's mean loss by `hidden`, its shape and type
};

/// Forward and backward of the head: its parameters' gradients are added up, hidden's is returned.
/// `hidden` [rows, size] (Network::hidden) need not carry a graph; labels [rows] int64; `answer`
/// has as many rows, or is null. `before_backward` is called before each slice's backward, with
/// whether it is the last one.
SlicedLoss head_and_loss(const Network& network, const at::Tensor& hidden, const at::Tensor& labels,
                         const Answer* answer, const SliceSettings& settings,
                         const ForwardMode& mode,
                         const std::function<void(bool last)>& before_backward);

/// Whether a parameter of the head is one of the body's, too: its gradient is complete only after
/// the body's backward.
bool head_is_tied(const Network& network);

}  // namespace bitstill
