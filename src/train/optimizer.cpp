#include "bitstill/train/optimizer.hpp"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/_fused_adam.h>
#include <ATen/ops/_fused_adamw.h>
#include <ATen/ops/_fused_sgd.h>
#include <ATen/ops/norm.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/pow.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>

#include "bitstill/base/text.hpp"

namespace bitstill {
namespace {

struct Slice {
  int64_t offset, count;  // padding included: it is zero and stays zero
  bool decays;
};

/// Whether each tensor's step hangs on its norm.
bool by_tensor(Optimizer optimizer) {
  return optimizer == Optimizer::lars || optimizer == Optimizer::lamb;
}

/// Runs of neighbouring trained parameters of equal decay, or single ones.
std::vector<Slice> slices_of(Student& student, const TrainOptions& options,
                             const Trained& trained) {
  const bool single = by_tensor(options.optimizer);
  const bool weights_only = options.decay == Decay::weights || single;
  std::vector<Slice> slices;
  int64_t slice_end = 0;
  const auto& segments = student.segments();
  for (std::size_t i = 0; i < segments.size(); ++i) {
    const int64_t end =
        i + 1 < segments.size() ? segments[i + 1].offset : student.masters().numel();
    if (!(segments[i].quantized() ? trained.weights : trained.others)) continue;
    const bool decays =
        !weights_only || student.network().parameters()[i]->role == ParameterRole::weight;
    if (!single && !slices.empty() && slices.back().decays == decays &&
        slice_end == segments[i].offset) {
      slices.back().count = end - slices.back().offset;
    } else {
      slices.push_back({segments[i].offset, end - segments[i].offset, decays});
    }
    slice_end = end;
  }
  return slices;
}

constexpr double kMeanDecay = 0.9, kSquareDecay = 0.999, kEpsilon = 1e-8;

}  // namespace

struct MasterOptimizer::Impl {
  struct Group {
    Slice slice;
    at::Tensor values;  // the student's
    double decay;
    NamedTensors state;  // sgd, lars: momentum; else mean, square, step
  };

  /// v = m v + rate ratio (g + decay w), w -= v; ratio = trust |w| / (|g| + decay |w|) of weights,
  /// 1 of biases and norms (You et al. 2017).
  void lars(Group& group, const at::Tensor& gradient, double rate) const {
    at::Tensor step = gradient.add(group.values, group.decay);
    if (group.slice.decays) {
      const at::Tensor w = group.values.norm(), g = gradient.norm();
      step.mul_(ratio(w * options.trust, g + w * group.decay));
    }
    group.state[0].second.mul_(options.momentum).add_(step, rate);
    group.values.sub_(group.state[0].second);
  }

  /// w -= rate ratio u, u = mean / (sqrt(square) + epsilon) + decay w as AdamW has it; ratio =
  /// |w| / |u| of weights, 1 of biases and norms (You et al. 2020).
  void lamb(Group& group, const at::Tensor& gradient, double rate) const {
    at::Tensor& mean = group.state[0].second;
    at::Tensor& square = group.state[1].second;
    const at::Tensor steps = group.state[2].second.add_(1);
    mean.lerp_(gradient, 1 - kMeanDecay);
    square.mul_(kSquareDecay).addcmul_(gradient, gradient, 1 - kSquareDecay);
    const auto unbiased = [&](const at::Tensor& moment, double decay) {
      return moment / (1 - at::pow(decay, steps.to(at::kDouble))).to(at::kFloat);
    };
    at::Tensor step =
        unbiased(mean, kMeanDecay) / unbiased(square, kSquareDecay).sqrt_().add_(kEpsilon);
    step.add_(group.values, group.decay);
    if (group.slice.decays) step.mul_(ratio(group.values.norm(), step.norm()));
    group.values.sub_(step, rate);
  }

  /// of / to, or 1 where one of them is 0: a tensor that begins at zero is to move.
  static at::Tensor ratio(const at::Tensor& of, const at::Tensor& to) {
    return at::where((of > 0).logical_and_(to > 0), of / to, at::ones_like(of));
  }

  void update(Group& group, double rate) const {
    // Where the gradients lie now: an exchange moves them once.
    const at::Tensor slice = student.gradients().narrow(0, group.slice.offset, group.slice.count);
    const at::TensorList values(group.values), gradients(slice);
    const auto state = [&](std::size_t i) { return at::TensorList(group.state[i].second); };
    if (options.optimizer == Optimizer::lars) return lars(group, slice, rate);
    if (options.optimizer == Optimizer::lamb) return lamb(group, slice, rate);
    if (options.optimizer == Optimizer::sgd) {
      at::_fused_sgd_(values, gradients, group.state.empty() ? at::TensorList() : state(0),
                      group.decay, options.momentum, rate, 0, options.nesterov, false, false);
      return;
    }
    group.state[2].second.add_(1);
    // Two names of one signature: Adam's decay is part of the gradient, AdamW's is not.
    const auto adam = [&](auto&& fused) {
      fused(values, gradients, state(0), state(1), at::TensorList(), state(2), rate, kMeanDecay,
            kSquareDecay, group.decay, kEpsilon, false, false);
    };
    if (options.optimizer == Optimizer::adam) {
      adam([](const auto&... given) { at::_fused_adam_(given...); });
    } else {
      adam([](const auto&... given) { at::_fused_adamw_(given...); });
    }
  }

  explicit Impl(Student& of) : student(of) {}
  Student& student;
  TrainOptions options;
  std::vector<Group> groups;
};

MasterOptimizer::MasterOptimizer(Student& student, const TrainOptions& options,
                                 const Trained& trained)
    : impl_(std::make_unique<Impl>(student)) {
  impl_->options = options;
  for (const Slice& slice : slices_of(student, options, trained)) {
    Impl::Group group;
    group.values = student.masters().narrow(0, slice.offset, slice.count).detach();
    group.slice = slice;
    group.decay = slice.decays ? options.weight_decay : 0;
    const at::Tensor zeros = at::zeros_like(group.values);
    if (options.optimizer != Optimizer::sgd && options.optimizer != Optimizer::lars) {
      const at::Tensor step = at::zeros({1}, zeros.options());
      group.state = {{"mean", zeros}, {"square", zeros.clone()}, {"step", step}};
    } else if (options.momentum > 0 || options.optimizer == Optimizer::lars) {
      group.state = {{"momentum", zeros}};
    }
    impl_->groups.push_back(std::move(group));
  }
}

MasterOptimizer::~MasterOptimizer() = default;

double MasterOptimizer::gradient_norm() const {
  at::NoGradGuard no_grad;
  return impl_->student.gradients().norm().item<double>();
}

void MasterOptimizer::update(double rate, double norm) {
  at::NoGradGuard no_grad;
  const double bound = impl_->options.clip_norm;
  if (bound > 0 && norm > bound) impl_->student.gradients().mul_(bound / norm);
  for (Impl::Group& group : impl_->groups) impl_->update(group, rate);
}

NamedTensors MasterOptimizer::state() const {
  NamedTensors tensors;
  for (std::size_t i = 0; i < impl_->groups.size(); ++i) {
    for (const auto& [name, tensor] : impl_->groups[i].state) {
      tensors.emplace_back(concat("optimizer.", i, ".", name), tensor.cpu());
    }
  }
  return tensors;
}

void MasterOptimizer::restore(const NamedTensors& tensors, const std::string& where) {
  const auto require = [&](bool good) {
    if (good) return;
    throw Error(ExitCode::model, concat(where,
                                        " does not hold the state of this optimizer; resume "
                                        "with the settings the run was started with"));
  };
  auto left = std::count_if(tensors.begin(), tensors.end(), [](const auto& named) {
    return !named.first.starts_with("optimizer.learned.");
  });
  for (std::size_t i = 0; i < impl_->groups.size(); ++i) {
    for (auto& [name, tensor] : impl_->groups[i].state) {
      const std::string full = concat("optimizer.", i, ".", name);
      const auto found = std::find_if(tensors.begin(), tensors.end(),
                                      [&](const auto& named) { return named.first == full; });
      require(found != tensors.end() && found->second.scalar_type() == at::kFloat &&
              found->second.sizes() == tensor.sizes());
      tensor.copy_(found->second);
      --left;
    }
  }
  require(left == 0);
}

}  // namespace bitstill
