// The distillation loss of one row of logits, and its gradient, in three passes over the row: what
// loss.cpp says in tensors, for many classes.
#pragma once

#include <cstdint>

namespace bitstill {

/// soft: T^2 KL(softmax(t/T) || softmax(z/T)); hard: cross-entropy with label smoothing.
struct RowLoss {
  double soft = 0, hard = 0;
  bool correct = false;  // the first of the largest logits is the label's
};

struct RowLossOptions {
  int64_t classes = 0;
  double temperature = 1;
  double smoothing = 0;    // share of the label that all classes have alike
  double soft_weight = 0;  // of d soft / d z in the gradient
  double hard_weight = 1;  // of d hard / d z
};

/// logits, teacher (or null), gradient: [classes]; scratch [classes] is overwritten. Where a logit
/// is not finite, losses and gradient are NaN.
RowLoss row_loss(const float* logits, const float* teacher, int64_t label,
                 const RowLossOptions& options, float* scratch, float* gradient);

}  // namespace bitstill
