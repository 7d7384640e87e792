#include "bitstill/infer/freeze.hpp"

#include <ATen/cpu/Utils.h>

#include <algorithm>
#include <numeric>

#include "bitstill/model/input.hpp"

namespace bitstill {

at::Tensor calibration_images(const Dataset& dataset, const Normalization& normalization) {
  constexpr int64_t kImages = 512;
  Split split = Split::train;
  if (dataset.size(split) == 0) split = Split::validation;
  if (dataset.size(split) == 0) split = Split::test;
  const ImageShape& shape = dataset.index().shape;
  const auto count = static_cast<std::size_t>(std::min(kImages, dataset.size(split)));
  Batch batch;
  batch.rows.resize(count);
  std::iota(batch.rows.begin(), batch.rows.end(), 0);
  batch.pixels.resize(count * static_cast<std::size_t>(shape.pixels()));
  batch.labels.resize(count);
  dataset.read(split, batch.rows, batch.pixels.data(), batch.labels.data());
  return to_input(batch, shape, normalization, at::kCPU, true);
}

std::unique_ptr<FrozenNetwork> freeze(const Network& network, InferencePrecision precision,
                                      const Dataset& dataset, std::string* obstacle) {
  const at::Tensor sample = calibration_images(dataset, network.spec().normalization);
  return FrozenNetwork::make(network, precision, sample, obstacle);
}

InferencePrecision fastest_precision(bool bf16) {
  if (!bf16) return InferencePrecision::fp32;
  const auto capabilities = at::cpu::get_cpu_capabilities();
  const auto amx = capabilities.find("amx_bf16");
  const bool has_amx = amx != capabilities.end() && amx->second.toBool();
  return has_amx ? InferencePrecision::bf16 : InferencePrecision::fp32;
}

}  // namespace bitstill
