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
  std::vector<int64_t> rows(static_cast<std::size_t>(std::min(kImages, dataset.size(split))));
  std::iota(rows.begin(), rows.end(), 0);
  return to_input(read_batch(dataset, split, std::move(rows)), dataset.index().shape, normalization,
                  at::kCPU, true);
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
