#include "custom_gradient.hpp"

#include <torch/csrc/autograd/custom_function.h>

namespace bitstill {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

struct Backward : torch::CustomClassHolder {
  decltype(CustomResult::backward) run;
};

class CustomNode : public torch::autograd::Function<CustomNode> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor&, const at::Tensor&,
                            const at::Tensor&, const std::optional<at::Tensor>&,
                            const std::function<CustomResult()>& forward) {
    CustomResult result = forward();
    context->save_for_backward(std::move(result.saved));
    auto backward = c10::make_intrusive<Backward>();
    backward->run = std::move(result.backward);
    context->saved_data["backward"] = c10::IValue::make_capsule(std::move(backward));
    return result.y;
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto held = context->saved_data["backward"].toCapsule();
    auto [dx, dweight, dbias, dadded] =
        static_cast<Backward*>(held.get())->run(context->get_saved_variables(), gradients[0]);
    return {dx, dweight, dbias, dadded, at::Tensor()};
  }
};

}  // namespace

at::Tensor custom_gradient(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                           const std::function<CustomResult()>& forward, const at::Tensor& added) {
  return CustomNode::apply(
      x, weight, bias, added.defined() ? std::optional<at::Tensor>(added) : std::nullopt, forward);
}

}  // namespace bitstill
