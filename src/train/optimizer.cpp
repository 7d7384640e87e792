#include "bitstill/train/optimizer.hpp"

#include <torch/optim/adam.h>
#include <torch/optim/adamw.h>
#include <torch/optim/sgd.h>

#include <algorithm>
#include <cmath>

#include "bitstill/base/text.hpp"

namespace bitstill {
namespace {

struct Slice {
  int64_t offset, count;  // padding included: it is zero and stays zero
  bool decays;
};

/// Runs of neighbouring trained parameters of equal decay.
std::vector<Slice> slices_of(Student& student, bool weights_only, const Trained& trained) {
  std::vector<Slice> slices;
  int64_t slice_end = 0;
  const auto& segments = student.segments();
  for (std::size_t i = 0; i < segments.size(); ++i) {
    const int64_t end =
        i + 1 < segments.size() ? segments[i + 1].offset : student.masters().numel();
    if (!(segments[i].quantized() ? trained.weights : trained.others)) continue;
    const bool decays =
        !weights_only || student.network().parameters()[i]->role == ParameterRole::weight;
    if (!slices.empty() && slices.back().decays == decays && slice_end == segments[i].offset) {
      slices.back().count = end - slices.back().offset;
    } else {
      slices.push_back({segments[i].offset, end - segments[i].offset, decays});
    }
    slice_end = end;
  }
  return slices;
}

std::unique_ptr<torch::optim::Optimizer> make_optimizer(
    const std::vector<torch::optim::OptimizerParamGroup>& groups, const TrainOptions& o) {
  using namespace torch::optim;
  if (o.optimizer == "sgd") {
    return std::make_unique<SGD>(groups, SGDOptions(o.rate).momentum(o.momentum));
  }
  if (o.optimizer == "adam") return std::make_unique<Adam>(groups, AdamOptions(o.rate));
  return std::make_unique<AdamW>(groups, AdamWOptions(o.rate));
}

std::unique_ptr<torch::optim::OptimizerOptions> group_options(const TrainOptions& o, bool decays) {
  using namespace torch::optim;
  const double decay = decays ? o.weight_decay : 0;
  if (o.optimizer == "sgd") {
    return std::make_unique<SGDOptions>(
        SGDOptions(o.rate).momentum(o.momentum).nesterov(o.nesterov).weight_decay(decay));
  }
  if (o.optimizer == "adam") {
    return std::make_unique<AdamOptions>(AdamOptions(o.rate).weight_decay(decay));
  }
  return std::make_unique<AdamWOptions>(AdamWOptions(o.rate).weight_decay(decay));
}

}  // namespace

struct MasterOptimizer::Impl {
  at::Tensor gradients;
  double clip_norm;
  bool is_sgd;
  std::vector<at::Tensor> slices;
  std::unique_ptr<torch::optim::Optimizer> optimizer;

  void* key(const at::Tensor& slice) const { return slice.unsafeGetTensorImpl(); }
};

MasterOptimizer::MasterOptimizer(Student& student, const TrainOptions& options,
                                 const Trained& trained)
    : impl_(std::make_unique<Impl>()) {
  impl_->gradients = student.gradients();
  impl_->clip_norm = options.clip_norm;
  impl_->is_sgd = options.optimizer == "sgd";
  std::vector<torch::optim::OptimizerParamGroup> groups;
  for (const Slice& slice : slices_of(student, options.decay == "weights", trained)) {
    at::Tensor value = student.masters().narrow(0, slice.offset, slice.count).detach();
    value.set_requires_grad(true);
    value.mutable_grad() = student.gradients().narrow(0, slice.offset, slice.count);
    groups.emplace_back(std::vector<at::Tensor>{value}, group_options(options, slice.decays));
    impl_->slices.push_back(value);
  }
  if (!groups.empty()) impl_->optimizer = make_optimizer(groups, options);
}

MasterOptimizer::~MasterOptimizer() = default;

double MasterOptimizer::gradient_norm() const {
  at::NoGradGuard no_grad;
  return impl_->gradients.norm().item<double>();
}

void MasterOptimizer::update(double rate, double norm) {
  at::NoGradGuard no_grad;
  if (!impl_->optimizer) return;
  if (impl_->clip_norm > 0 && norm > impl_->clip_norm) {
    impl_->gradients.mul_(impl_->clip_norm / norm);
  }
  for (auto& group : impl_->optimizer->param_groups()) group.options().set_lr(rate);
  impl_->optimizer->step();
}

NamedTensors MasterOptimizer::state() const {
  NamedTensors tensors;
  for (std::size_t i = 0; i < impl_->slices.size(); ++i) {
    const auto& states = impl_->optimizer->state();
    const auto found = states.find(impl_->key(impl_->slices[i]));
    if (found == states.end()) continue;  // before the first update
    const auto add = [&](const char* name, const at::Tensor& tensor) {
      if (tensor.defined()) {
        tensors.emplace_back(concat("optimizer.", i, ".", name), tensor.detach().cpu().clone());
      }
    };
    if (impl_->is_sgd) {
      add("momentum", static_cast<torch::optim::SGDParamState&>(*found->second).momentum_buffer());
    } else {
      // Adam and AdamW keep the same members in two unrelated classes.
      const auto add_moments = [&](const auto& state) {
        add("mean", state.exp_avg());
        add("square", state.exp_avg_sq());
        add("step", at::full({1}, static_cast<float>(state.step())));
      };
      if (const auto* adam = dynamic_cast<torch::optim::AdamParamState*>(found->second.get())) {
        add_moments(*adam);
      } else {
        add_moments(static_cast<torch::optim::AdamWParamState&>(*found->second));
      }
    }
  }
  return tensors;
}

void MasterOptimizer::restore(const NamedTensors& tensors, const std::string& where) {
  const auto learned =
      static_cast<std::size_t>(std::count_if(tensors.begin(), tensors.end(), [](const auto& named) {
        return named.first.starts_with("optimizer.learned.");
      }));
  if (tensors.size() == learned) return;  // before the first update, and always with momentum 0
  std::size_t used = 0;
  const auto require = [&](bool good) {
    if (good) return;
    throw Error(ExitCode::model, concat(where,
                                        " does not hold the state of this optimizer; resume "
                                        "with the settings the run was started with"));
  };
  const auto take = [&](std::size_t slice, const char* name, int64_t count) {
    const std::string full = concat("optimizer.", slice, ".", name);
    const auto found = std::find_if(tensors.begin(), tensors.end(),
                                    [&](const auto& named) { return named.first == full; });
    require(found != tensors.end() && found->second.scalar_type() == at::kFloat &&
            found->second.dim() == 1 && found->second.numel() == count);
    ++used;
    return found->second.to(impl_->slices[slice].device()).clone();
  };
  for (std::size_t i = 0; i < impl_->slices.size(); ++i) {
    auto& states = impl_->optimizer->state();
    void* key = impl_->key(impl_->slices[i]);
    const int64_t count = impl_->slices[i].numel();
    if (impl_->is_sgd) {
      auto state = std::make_unique<torch::optim::SGDParamState>();
      state->momentum_buffer(take(i, "momentum", count));
      states[key] = std::move(state);
      continue;
    }
    const auto fill = [&](auto state) {
      state->exp_avg(take(i, "mean", count));
      state->exp_avg_sq(take(i, "square", count));
      state->step(static_cast<int64_t>(take(i, "step", 1).template item<float>()));
      states[key] = std::move(state);
    };
    if (dynamic_cast<torch::optim::Adam*>(impl_->optimizer.get()) != nullptr) {
      fill(std::make_unique<torch::optim::AdamParamState>());
    } else {
      fill(std::make_unique<torch::optim::AdamWParamState>());
    }
  }
  require(used + learned == tensors.size());
}

}  // namespace bitstill
