// The distillation loss and its gradient.
#pragma once

#include <ATen/core/Tensor.h>

#include "bitstill/model/input.hpp"
#include "bitstill/train/options.hpp"

namespace bitstill {

/// Sums over the samples of one micro-batch, and the gradient of the step's mean loss.
struct Loss {
  at::Tensor sums;  // [3] fp32 on the logits' device: soft loss, cross-entropy, correct predictions
  at::Tensor gradient;  // [n, classes] fp32: d(mean loss over `global_samples`) / d logits
};

/// L = soft_weight T^2 KL(softmax(t/T) || softmax(z/T)) + (1 - soft_weight) CE(z, labels); without
/// a teacher (undefined tensor) L = CE. KL is summed over classes (kl_reduction = batch) or
/// averaged over them (classes). Source: Hinton et al. 2015; Polino et al. 2018, section 3.
/// distill.loss = dist, in place of KL: 1 - Pearson's correlation of the two softmaxes, the mean of
/// a sample's classes plus that of a class's samples (Huang et al. 2022). label_smoothing e: the
/// label's target is 1 - e + e / classes, the others' e / classes. Of mixed images CE is the sum of
/// both labels' by their shares, and the one of the larger share is the correct one. logits,
/// teacher_logits [n, classes] fp32.
Loss distillation_loss(const at::Tensor& logits, const at::Tensor& teacher_logits,
                       const Labels& labels, const DistillOptions& options, int64_t global_samples,
                       double label_smoothing = 0);

/// The weighted total of two mean losses.
double total_loss(double soft, double hard, const DistillOptions& options, bool has_teacher);

}  // namespace bitstill
