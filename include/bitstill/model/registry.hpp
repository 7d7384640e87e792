// Families of networks. To add one: a source file that defines a NetworkFamily, its declaration
// here, and its line in src/model/registry.cpp.
#pragma once

#include <c10/core/Device.h>

#include <memory>
#include <string>
#include <vector>

#include "bitstill/base/random.hpp"
#include "bitstill/model/network.hpp"
#include "bitstill/model/step_decoder.hpp"

namespace bitstill {

/// Which of NetworkSpec's options are a family's.
enum class FamilyOptions { convnet, residual, recurrent, transformer };

struct NetworkFamily {
  std::vector<std::string> kinds;
  FamilyOptions options = FamilyOptions::convnet;
  /// Fills in what the spec leaves open; Error(settings) where it does not fit.
  NetworkSpec (*complete)(const NetworkSpec& spec);
  /// Parameters that `build` will make, counted without making them. The spec is complete.
  int64_t (*count)(const NetworkSpec& spec);
  /// Values on `device`.
  std::vector<std::unique_ptr<Unit>> (*build)(const NetworkSpec& spec, const c10::Device& device);
  /// Values of a parameter with the role of a weight [or bias], fp32 on the CPU.
  at::Tensor (*initialize)(const Parameter& weight, RandomStream& stream);
  /// Biases start as weights do, not at zero.
  bool draws_biases = false;
  /// make_step_decoder() of its networks; null: of images.
  std::unique_ptr<StepDecoder> (*step_decoder)(const Network& network, bool bf16) = nullptr;
};

/// The family of a kind; null where none knows it.
const NetworkFamily* find_family(const std::string& kind);

/// Error(code) naming `where` when a number of the spec is out of range.
void check_ranges(const NetworkSpec& spec, const std::string& where, ExitCode code);

NetworkFamily convnets();      // the paper's: teacher, student1-3, deeper, convnet
NetworkFamily resnets();       // resnet18, 34, 50, 101, 152
NetworkFamily wide_resnets();  // wrn
NetworkFamily recurrent();     // lstm
NetworkFamily transformers();  // transformer

}  // namespace bitstill
