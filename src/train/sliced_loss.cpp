#include "bitstill/train/sliced_loss.hpp"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <unordered_set>

#include "bitstill/model/autocast.hpp"

namespace bitstill {

SlicedLoss head_and_loss(const Network& network, const at::Tensor& hidden, const at::Tensor& labels,
                         const Answer* answer, const SliceSettings& settings,
                         const ForwardMode& mode,
                         const std::function<void(bool last)>& before_backward) {
  const at::Tensor body = hidden.detach();
  const int64_t rows = body.size(0), slice = std::max<int64_t>(settings.distill.slice_rows, 1);
  SlicedLoss all{at::zeros({3}, body.options().dtype(at::kFloat)), at::empty_like(body)};
  for (int64_t first = 0; first < rows; first += slice) {
    const int64_t count = std::min(slice, rows - first);
    const at::Tensor leaf = body.narrow(0, first, count).detach().set_requires_grad(true);
    at::Tensor logits;
    {
      const AutocastScope autocast(settings.bf16, body.device());
      logits = network.head(leaf, mode);
    }
    const Loss loss = distillation_loss(logits.detach().to(at::kFloat),
                                        answer ? answer->logits(first, count) : at::Tensor(),
                                        {labels.narrow(0, first, count)}, settings.distill,
                                        settings.step_terms, settings.label_smoothing);
    before_backward(first + count == rows);
    logits.backward(loss.gradient.to(logits.scalar_type()));
    all.gradient.narrow(0, first, count).copy_(leaf.grad());
    all.sums.add_(loss.sums);
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
