#include "bitstill/model/input.hpp"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>

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

/// The same on the device, where four bytes travel for each value otherwise.
at::Tensor input_there(const Batch& batch, const ImageShape& shape,
                       const Normalization& normalization, const at::Device& device,
                       bool channels_last) {
  const at::Tensor table = at::empty({shape.channels * 256});
  for (int64_t c = 0; c < shape.channels; ++c) {
    const auto index = static_cast<std::size_t>(c);
    const auto values = byte_values(normalization.mean[index], normalization.deviation[index]);
    std::copy(values.begin(), values.end(), table.mutable_data_ptr<float>() + c * 256);
  }
  // from_blob takes no pointer to const; these are only read.
  const at::Tensor bytes =
      at::from_blob(const_cast<uint8_t*>(batch.pixels.data()),
                    {batch.count(), shape.channels, shape.height, shape.width}, at::kByte)
          .to(device);
  const at::Tensor rows = at::arange(shape.channels, bytes.options().dtype(at::kInt)) * 256;
  at::Tensor places = bytes.to(at::kInt).add_(rows.view({1, -1, 1, 1}));
  if (channels_last) places = places.permute({0, 2, 3, 1}).contiguous();
  const at::Tensor x = table.to(device).index_select(0, places.flatten()).view(places.sizes());
  return channels_last ? x.permute({0, 3, 1, 2}) : x;
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
  if (!device.is_cpu()) return input_there(batch, shape, normalization, device, channels_last);
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
  return x;
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
