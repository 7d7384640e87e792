#include "bitstill/train/average.hpp"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/full.h>
#include <ATen/ops/tensor.h>

#include <algorithm>

#include "bitstill/base/text.hpp"

namespace bitstill {
namespace {

const std::string kPrefix = "average.";

void exchange(at::Tensor& a, at::Tensor& b) {
  const at::Tensor kept = a.clone();
  a.copy_(b);
  b.copy_(kept);
}

}  // namespace

WeightAverage::WeightAverage(Student& student, const TrainOptions& options)
    : student_(student), options_(options) {
  if (options.average == Average::none) return;
  masters_ = student.masters().detach().clone();
  running_ = student.running().clone();
  if (student.quantizer() != nullptr) learned_ = student.quantizer()->learned();
}

/// average += share (student - average)
void WeightAverage::take(double share) {
  const at::NoGradGuard no_grad;
  ++count_;
  masters_.lerp_(student_.masters(), share);
  running_.lerp_(student_.running(), share);
  if (student_.quantizer() == nullptr) return;
  const std::vector<float>& now = student_.quantizer()->learned();
  const auto weight = static_cast<float>(share);
  for (std::size_t i = 0; i < learned_.size(); ++i) {
    learned_[i] = (1 - weight) * learned_[i] + weight * now[i];
  }
}

void WeightAverage::after_step() {
  if (options_.average != Average::ema) return;
  const auto n = static_cast<double>(count_);
  take(count_ == 0 ? 1 : 1 - std::min(options_.average_decay, (1 + n) / (10 + n)));
}

void WeightAverage::after_epoch(int64_t epoch) {
  if (options_.average != Average::last || epoch <= options_.epochs - options_.average_epochs) {
    return;
  }
  take(1 / static_cast<double>(count_ + 1));
}

void WeightAverage::swap() {
  if (count_ == 0) return;
  const at::NoGradGuard no_grad;
  exchange(student_.masters(), masters_);
  exchange(student_.running(), running_);
  if (student_.quantizer() != nullptr) student_.quantizer()->learned().swap(learned_);
}

NamedTensors WeightAverage::state() const {
  if (count_ == 0) return {};
  return {{kPrefix + "masters", masters_.cpu()},
          {kPrefix + "running", running_.cpu()},
          {kPrefix + "learned", at::tensor(learned_, at::kFloat)},
          {kPrefix + "count", at::full({1}, count_, at::kLong)}};
}

void WeightAverage::restore(const NamedTensors& tensors, const std::string& where) {
  if (options_.average == Average::none || tensors.empty()) return;
  const auto find = [&](const char* name, int64_t elements, at::ScalarType type) {
    const auto found = std::find_if(tensors.begin(), tensors.end(), [&](const auto& named) {
      return named.first == kPrefix + name;
    });
    if (found == tensors.end() || found->second.scalar_type() != type ||
        found->second.numel() != elements) {
      throw Error(ExitCode::model, concat(where,
                                          " does not hold the average of this student; resume with "
                                          "the settings the run was started with"));
    }
    return found->second.contiguous();
  };
  masters_.copy_(find("masters", masters_.numel(), at::kFloat));
  running_.copy_(find("running", running_.numel(), at::kFloat));
  const auto count = static_cast<int64_t>(learned_.size());
  std::copy_n(find("learned", count, at::kFloat).const_data_ptr<float>(), count, learned_.begin());
  count_ = find("count", 1, at::kLong).item<int64_t>();
}

}  // namespace bitstill
