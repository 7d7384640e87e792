#include "bitstill/train/loss.hpp"

#include <ATen/TensorOperators.h>
#include <ATen/ops/argmax.h>
#include <ATen/ops/exp.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

namespace bitstill {

Loss distillation_loss(const at::Tensor& logits, const at::Tensor& teacher_logits,
                       const at::Tensor& labels, const DistillOptions& options,
                       int64_t global_samples) {
  const bool has_teacher = teacher_logits.defined();
  const double hard_weight = has_teacher ? 1 - options.soft_weight : 1;
  const double share = 1.0 / static_cast<double>(global_samples);
  const auto index = labels.unsqueeze(1);

  // d CE / d z = softmax(z) - onehot(labels)
  const at::Tensor log_q = at::log_softmax(logits, 1);
  const at::Tensor hard = -log_q.gather(1, index).sum();
  at::Tensor gradient = log_q.exp();
  gradient.scatter_add_(1, index, at::zeros_like(index, gradient.options()).sub_(1));
  gradient.mul_(hard_weight * share);

  at::Tensor soft = at::zeros({}, logits.options());
  if (has_teacher) {
    // d T^2 KL(p || q_T) / d z = T (q_T - p)
    const double t = options.temperature;
    const double scale = options.kl_reduction == KlReduction::classes
                             ? 1.0 / static_cast<double>(logits.size(1))
                             : 1.0;
    const at::Tensor log_p = at::log_softmax(teacher_logits / t, 1);
    const at::Tensor log_qt = at::log_softmax(logits / t, 1);
    const at::Tensor p = log_p.exp();
    soft = (p * (log_p - log_qt)).sum() * (t * t * scale);
    gradient.add_(log_qt.exp().sub_(p), options.soft_weight * t * scale * share);
  }
  const at::Tensor correct = logits.argmax(1).eq(labels).sum().to(at::kFloat);
  return {at::stack({soft, hard, correct}), gradient};
}

double total_loss(double soft, double hard, const DistillOptions& options, bool has_teacher) {
  return has_teacher ? options.soft_weight * soft + (1 - options.soft_weight) * hard : hard;
}

}  // namespace bitstill
