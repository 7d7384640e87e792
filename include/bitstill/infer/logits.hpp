// A batch of bytes becomes logits on the host.
#pragma once

#include <span>
#include <vector>

#include "bitstill/data/prefetch.hpp"
#include "bitstill/model/network.hpp"
#include "bitstill/model/predictor.hpp"

namespace bitstill {

/// Row i belongs to the batch's sample i.
struct Logits {
  int64_t classes = 0;
  std::vector<float> values;  // [n, classes]
  std::span<const float> row(int64_t i) const {
    return {values.data() + i * classes, static_cast<std::size_t>(classes)};
  }
};

/// What `predictor` says of each batch, n > 0, of images of this shape. Collective where it is.
std::vector<Logits> ask(Predictor& predictor, std::span<const Batch> batches,
                        const ImageShape& shape, const at::Device& device, bool channels_last,
                        bool more);

/// A forward pass in evaluation mode, without gradients.
Logits forward_batch(const Network& network, const Batch& batch, const at::Device& device,
                     bool channels_last);

}  // namespace bitstill
