// A network compiled for inference, its 8-bit ranges found on the shards.
#pragma once

#include <memory>

#include "bitstill/base/words.hpp"
#include "bitstill/data/dataset.hpp"
#include "bitstill/model/frozen_network.hpp"

namespace bitstill {

/// By which 8-bit ranges are found: the first 512 images of the first split that has any, so equal
/// on all ranks, on the CPU.
at::Tensor calibration_images(const Dataset& dataset, const Normalization& normalization);

/// Null, with the reason in `obstacle`, where FrozenNetwork::make is.
std::unique_ptr<FrozenNetwork> freeze(const Network& network, InferencePrecision precision,
                                      const Dataset& dataset, std::string* obstacle);

/// What is fastest of fp32 and, where `bf16` is good enough, bf16: Winograd's fp32 is faster than
/// bf16 without AMX, the processor's matrix unit.
InferencePrecision fastest_precision(bool bf16);

enum class TeacherPrecision { automatic, fp32, bf16, int8 };
template <>
struct WordsOf<TeacherPrecision> {
  using enum TeacherPrecision;
  static constexpr Word<TeacherPrecision> kTable[] = {
      {automatic, "auto", "fp32; bf16 by AMX"},
      {fp32, "fp32"},
      {bf16, "bf16"},
      {int8, "int8", "convolutions on 8-bit codes; CPU"}};
};

/// Of a model that is measured: as it is stored, or compiled as a teacher is.
enum class ModelPrecision { exact, fp32, bf16, int8 };
template <>
struct WordsOf<ModelPrecision> {
  using enum ModelPrecision;
  static constexpr Word<ModelPrecision> kTable[] = {
      {exact, "exact"}, {fp32, "fp32"}, {bf16, "bf16"}, {int8, "int8"}};
};

/// What is asked for where it is none of an enum's own (automatic, exact).
template <class Asked>
InferencePrecision inference_precision(Asked asked) {
  if (asked == Asked::int8) return InferencePrecision::int8;
  return asked == Asked::bf16 ? InferencePrecision::bf16 : InferencePrecision::fp32;
}

}  // namespace bitstill
