#include "bitstill/model/input.hpp"

#include <ATen/ops/empty.h>

#include <algorithm>
#include <array>

#include "bitstill/base/text.hpp"

namespace bitstill {
namespace {

/// The 256 values that a byte of this channel can become.
std::array<float, 256> byte_values(float mean, float deviation) {
  std::array<float, 256> values;
  for (int byte = 0; byte < 256; ++byte) {
    values[static_cast<std::size_t>(byte)] = (static_cast<float>(byte) / 255.0f - mean) / deviation;
  }
  return values;
}

}  // namespace

at::Tensor to_input(const Batch& batch, const ImageShape& shape, const Normalization& normalization,
                    const at::Device& device, bool channels_last) {
  const int64_t n = batch.count(), channels = shape.channels, area = shape.height * shape.width;
  if (static_cast<int64_t>(batch.pixels.size()) != n * shape.pixels() ||
      static_cast<int64_t>(normalization.mean.size()) != channels ||
      static_cast<int64_t>(normalization.deviation.size()) != channels) {
    throw Error(ExitCode::data,
                concat("a batch of ", n, " images holds ", batch.pixels.size(),
                       " bytes, normalized by ", normalization.mean.size(), " channels; expected ",
                       n * shape.pixels(), " and ", channels));
  }
  const auto format = channels_last ? at::MemoryFormat::ChannelsLast : at::MemoryFormat::Contiguous;
  at::Tensor x = at::empty({n, channels, shape.height, shape.width}, at::kFloat, format);
  const int64_t pixel_step = channels_last ? channels : 1, channel_step = channels_last ? 1 : area;
  float* target = x.mutable_data_ptr<float>();
  for (int64_t c = 0; c < channels; ++c) {
    const auto index = static_cast<std::size_t>(c);
    const auto values = byte_values(normalization.mean[index], normalization.deviation[index]);
    for (int64_t i = 0; i < n; ++i) {
      const uint8_t* from = batch.pixels.data() + (i * channels + c) * area;
      float* to = target + i * channels * area + c * channel_step;
      for (int64_t p = 0; p < area; ++p) to[p * pixel_step] = values[from[p]];
    }
  }
  return x.to(device);
}

Labels to_labels(const Batch& batch, const at::Device& device) {
  const auto tensor = [&](const std::vector<int64_t>& labels) {
    at::Tensor of = at::empty({static_cast<int64_t>(labels.size())}, at::kLong);
    std::copy(labels.begin(), labels.end(), of.mutable_data_ptr<int64_t>());
    return of.to(device);
  };
  Labels labels{tensor(batch.labels)};
  if (!batch.partners.empty()) labels.partners = tensor(batch.partners);
  labels.share = batch.share;
  return labels;
}

}  // namespace bitstill
