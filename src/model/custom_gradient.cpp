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
  static at::Tensor forward(AutogradContext* context, const at::TensorList&,
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
    variable_list of_inputs =
        static_cast<Backward*>(held.get())->run(context->get_saved_variables(), gradients[0]);
    of_inputs.emplace_back();  // of `forward`
    return of_inputs;
  }
};

}  // namespace

at::Tensor custom_gradient(const std::vector<at::Tensor>& inputs,
                           const std::function<CustomResult()>& forward) {
  return CustomNode::apply(at::TensorList(inputs), forward);
}

}  // namespace bitstill
