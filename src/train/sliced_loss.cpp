#include "bitstill/train/sliced_loss.hpp"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <unordered_set>
#include <utility>

#include "bitstill/model/autocast.hpp"

namespace bitstill {
namespace {

/// Whose fp32 copies fit beside a slice; a GPU is fed by few, large kernels.
int64_t rows_at_once(const at::Tensor& logits) {
  constexpr int64_t kFewRows = 64;
  return logits.is_cpu() ? kFewRows : std::max<int64_t>(logits.size(0), 1);
}

/// Logits [rows, pieces] become their gradient, in their own type; the sums of
/// their loss.
at::Tensor replace_by_gradient(const at::Tensor& logits, at::Tensor teacher_logits,
                               const at::Tensor& labels, const SliceSettings& settings) {
  const int64_t rows = logits.size(0), count = rows_at_once(logits);
  at::Tensor sums = at::zeros({3}, logits.options().dtype(at::kFloat));
  for (int64_t first = 0; first < rows; first += count) {
    const auto few = [&](const at::Tensor& all) {
      return all.defined() ? all.narrow(0, first, std::min(count, rows - first)) : all;
    };
    const Loss loss =
        distillation_loss(few(logits).to(at::kFloat), few(teacher_logits), {few(labels)},
                          settings.distill, settings.step_terms, settings.label_smoothing);
    few(logits).copy_(loss.gradient);
    sums.add_(loss.sums);
  }
  return sums;
}

}  // namespace

SlicedLoss head_and_loss(const Network& network, const at::Tensor& hidden, const at::Tensor& labels,
                         const Answer* answer, const SliceSettings& settings,
                         const ForwardMode& mode,
                         const std::function<void(bool last)>& before_backward) {
  const at::Tensor body = hidden.detach();
  const int64_t rows = body.size(0), slice = std::max<int64_t>(settings.distill.slice_rows, 1);
  SlicedLoss all{at::zeros({3}, body.options().dtype(at::kFloat)), at::empty_like(body)};
  for (int64_t first = 0; first < rows; first += slice) {
    const int64_t count = std::min(slice, rows - first);
    // First, and gone before the backward: what it takes does not lie beside
    // the student's.
    at::Tensor teacher_logits = answer ? answer->logits(first, count) : at::Tensor();
    const at::Tensor leaf = body.narrow(0, first, count).detach().set_requires_grad(true);
    at::Tensor logits;
    {
      const AutocastScope autocast(settings.bf16, body.device());
      logits = network.head(leaf, mode);
    }
    const at::Tensor gradient = logits.detach();  // in their place: no backward reads them
    all.sums.add_(replace_by_gradient(gradient, std::move(teacher_logits),
                                      labels.narrow(0, first, count), settings));
    before_backward(first + count == rows);
    logits.backward(gradient);
    all.gradient.narrow(0, first, count).copy_(leaf.grad());
  }
  return all;
}

bool head_is_tied(const Network& network) {
  std::unordered_set<const c10::TensorImpl*> body;
  const auto& units = network.units();
  for (std::size_t unit = 0; unit + 1 < units.size(); ++unit) {
    for (const Parameter* parameter : units[unit]->parameters()) {
      body.insert(parameter->value.unsafeGetTensorImpl());
    }
  }
  const std::vector<Parameter*> head = units.back()->parameters();
  return std::any_of(head.begin(), head.end(), [&](const Parameter* parameter) {
    return body.contains(parameter->value.unsafeGetTensorImpl());
  });
}

}  // namespace bitstill
