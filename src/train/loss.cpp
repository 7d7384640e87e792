#include "bitstill/train/loss.hpp"

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/argmax.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/exp.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include <vector>

#include "bitstill/train/loss_kernel.hpp"

namespace bitstill {
namespace {

/// A soft loss's sum over the samples; its gradient by the logits is `scale` times `gradient`.
struct Soft {
  at::Tensor sum, gradient;
  double scale = 1;
};

/// d T^2 KL(p || q_T) / d z = T (q_T - p)
Soft divergence(const at::Tensor& logits, const at::Tensor& teacher_logits,
                const DistillOptions& options) {
  const double t = options.temperature;
  const double scale = options.kl_reduction == KlReduction::classes
                           ? 1.0 / static_cast<double>(logits.size(1))
                           : 1.0;
  const at::Tensor log_p = at::log_softmax(teacher_logits / t, 1);
  const at::Tensor log_q = at::log_softmax(logits / t, 1);
  const at::Tensor p = log_p.exp();
  return {(p * (log_p - log_q)).sum() * (t * t * scale), log_q.exp().sub_(p), t * scale};
}

/// Sum of 1 - r over what is left of `q` without `dim`, and its gradient by q; r: Pearson's
/// correlation of q and p along `dim`, 0 where one of them does not vary.
Soft uncorrelated(const at::Tensor& q, const at::Tensor& p, int64_t dim) {
  constexpr double kLeast = 1e-12;
  const at::Tensor a = q - q.mean(dim, true), b = p - p.mean(dim, true);
  const at::Tensor own = at::linalg_vector_norm(a, 2, dim, true).clamp_min(kLeast);
  const at::Tensor both = own * at::linalg_vector_norm(b, 2, dim, true).clamp_min(kLeast);
  const at::Tensor r = (a * b).sum(dim, true).div_(both);
  return {(1 - r).sum(), a.div(own.square()).mul_(r).sub_(b.div(both))};
}

Soft correlation(const at::Tensor& logits, const at::Tensor& teacher_logits,
                 const DistillOptions& options) {
  if (logits.size(0) == 0) return {at::zeros({}, logits.options()), at::zeros_like(logits)};
  const double t = options.temperature;
  const double classes = static_cast<double>(logits.size(1)),
               samples = static_cast<double>(logits.size(0));
  const at::Tensor q = at::softmax(logits / t, 1), p = at::softmax(teacher_logits / t, 1);
  const Soft between = uncorrelated(q, p, 1), within = uncorrelated(q, p, 0);
  const at::Tensor by_q = between.gradient + within.gradient * (samples / classes);
  // Through the softmax; T^2 of the loss, 1/T of its input.
  const at::Tensor by_z = (by_q - (by_q * q).sum(1, true)).mul_(q);
  return {(between.sum + within.sum * (samples / classes)) * (t * t), by_z, t};
}

/// Where each row's classes are passed by a kernel.
bool by_rows(const at::Tensor& logits, const Labels& labels, const DistillOptions& options) {
  return logits.is_cpu() && !labels.partners.defined() && options.loss == SoftLoss::kl;
}

Loss loss_by_rows(const at::Tensor& logits, const at::Tensor& teacher_logits,
                  const at::Tensor& labels, const DistillOptions& options, double share,
                  double label_smoothing) {
  const at::Tensor z = logits.contiguous();
  const at::Tensor t = teacher_logits.defined() ? teacher_logits.contiguous() : at::Tensor();
  const int64_t rows = z.size(0), classes = z.size(1);
  const double mean =
      options.kl_reduction == KlReduction::classes ? 1.0 / static_cast<double>(classes) : 1.0;
  RowLossOptions row{classes, options.temperature, label_smoothing, 0, share};
  if (t.defined()) {
    row.soft_weight = options.soft_weight * mean * share;
    row.hard_weight = (1 - options.soft_weight) * share;
  }
  const at::Tensor gradient = at::empty_like(z), own = labels.contiguous();
  const float *const of_student = z.const_data_ptr<float>(), *const of_teacher =
                                                                 t.defined()
                                                                     ? t.const_data_ptr<float>()
                                                                     : nullptr;
  const int64_t* const label = own.const_data_ptr<int64_t>();
  float* const to = gradient.mutable_data_ptr<float>();
  std::vector<RowLoss> found(static_cast<std::size_t>(rows));
  at::parallel_for(0, rows, 16, [&](int64_t begin, int64_t end) {
    std::vector<float> scratch(static_cast<std::size_t>(classes));
    for (int64_t i = begin; i < end; ++i) {
      found[static_cast<std::size_t>(i)] =
          row_loss(of_student + i * classes, of_teacher ? of_teacher + i * classes : nullptr,
                   label[i], row, scratch.data(), to + i * classes);
    }
  });
  double soft = 0, hard = 0, correct = 0;
  for (const RowLoss& one : found) {
    soft += one.soft;
    hard += one.hard;
    correct += one.correct ? 1 : 0;
  }
  return {at::tensor({soft * mean, hard, correct}, at::kFloat), gradient};
}

}  // namespace

Loss distillation_loss(const at::Tensor& logits, const at::Tensor& teacher_logits,
                       const Labels& labels, const DistillOptions& options, int64_t global_samples,
                       double label_smoothing) {
  const bool has_teacher = teacher_logits.defined();
  const double hard_weight = has_teacher ? 1 - options.soft_weight : 1;
  const double share = 1.0 / static_cast<double>(global_samples);
  if (by_rows(logits, labels, options)) {
    return loss_by_rows(logits, teacher_logits, labels.own, options, share, label_smoothing);
  }

  // d CE / d z = softmax(z) - target
  const at::Tensor log_q = at::log_softmax(logits, 1);
  at::Tensor hard = at::zeros({}, logits.options());
  at::Tensor gradient = log_q.exp();
  const auto add_target = [&](const at::Tensor& classes, double of) {
    const at::Tensor index = classes.unsqueeze(1);
    hard.sub_(log_q.gather(1, index).sum(), of);
    gradient.scatter_add_(
        1, index, at::zeros_like(index, gradient.options()).sub_(of * (1 - label_smoothing)));
  };
  add_target(labels.own, labels.share);
  if (labels.partners.defined()) add_target(labels.partners, 1 - labels.share);
  if (label_smoothing > 0) {
    const double each = label_smoothing / static_cast<double>(logits.size(1));
    hard = hard * (1 - label_smoothing) - log_q.sum() * each;
    gradient.sub_(each);
  }
  gradient.mul_(hard_weight * share);

  at::Tensor soft = at::zeros({}, logits.options());
  if (has_teacher) {
    const Soft found = options.loss == SoftLoss::dist ? correlation(logits, teacher_logits, options)
                                                      : divergence(logits, teacher_logits, options);
    soft = found.sum;
    gradient.add_(found.gradient, options.soft_weight * found.scale * share);
  }
  const at::Tensor& expected = labels.share >= 0.5 ? labels.own : labels.partners;
  const at::Tensor correct = logits.argmax(1).eq(expected).sum().to(at::kFloat);
  return {at::stack({soft, hard, correct}), gradient};
}

double total_loss(double soft, double hard, const DistillOptions& options, bool has_teacher) {
  return has_teacher ? options.soft_weight * soft + (1 - options.soft_weight) * hard : hard;
}

}  // namespace bitstill
