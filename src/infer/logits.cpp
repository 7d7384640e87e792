#include "bitstill/infer/logits.hpp"

#include "bitstill/model/input.hpp"

namespace bitstill {

std::vector<Logits> ask(Predictor& predictor, std::span<const Batch> batches,
                        const ImageShape& shape, const at::Device& device, bool channels_last,
                        bool more) {
  std::vector<at::Tensor> inputs;
  for (const Batch& batch : batches) {
    inputs.push_back(to_input(batch, shape, predictor.normalization(), device, channels_last));
  }
  std::vector<Logits> all;
  for (const at::Tensor& answer : predictor.logits(inputs, more)) {
    const at::Tensor host = answer.to(at::kCPU).contiguous();
    const float* const values = host.const_data_ptr<float>();
    all.push_back({host.size(1), {values, values + host.numel()}});
  }
  return all;
}

Logits forward_batch(const Network& network, const Batch& batch, const at::Device& device,
                     bool channels_last) {
  return ask(*make_predictor(network), {&batch, 1}, network.spec().input, device, channels_last,
             false)
      .front();
}

}  // namespace bitstill
