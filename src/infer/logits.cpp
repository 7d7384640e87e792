#include "bitstill/infer/logits.hpp"

#include <ATen/core/grad_mode.h>

#include "bitstill/model/input.hpp"

namespace bitstill {

Logits forward_batch(const Network& network, const Batch& batch, const at::Device& device,
                     bool channels_last, const FrozenNetwork* frozen) {
  const at::NoGradGuard no_grad;
  const NetworkSpec& spec = network.spec();
  const auto x = to_input(batch, spec.input, spec.normalization, device, channels_last);
  const at::Tensor answer =
      (frozen != nullptr ? frozen->forward(x) : network.forward(x, ForwardMode{}))
          .to(at::kCPU, at::kFloat)
          .contiguous();
  const float* values = answer.const_data_ptr<float>();
  return {answer.size(1), {values, values + answer.numel()}};
}

}  // namespace bitstill
