// The network in training: flat masters, quantized shadows and gradients, and views into them.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <string>
#include <vector>

#include "bitstill/model/network.hpp"
#include "bitstill/model/weights.hpp"
#include "bitstill/quant/quantizer.hpp"
#include "bitstill/store/model_file.hpp"

namespace bitstill {

/// Owns a network whose parameters are views of one flat buffer of shadows and whose gradients are
/// views of another. Each parameter starts on 64 bytes; padding stays zero. Batch-norm running
/// statistics and the statistics of the last forward pass are two more flat buffers.
class Student {
 public:
  /// Takes the network with its present values as masters.
  Student(std::unique_ptr<Network> network, const QuantOptions& options, uint64_t seed,
          const at::Device& device);

  Network& network() { return *network_; }
  const std::vector<Segment>& segments() const { return segments_; }
  const Quantizer* quantizer() const { return quantizer_.get(); }

  at::Tensor& masters() { return masters_; }  // [elements]
  at::Tensor& shadows() { return shadows_; }  // [elements]; the masters where nothing is quantized
  at::Tensor& gradients() { return gradients_; }    // [elements]
  at::Tensor& running() { return running_; }        // [statistics]
  at::Tensor& statistics() { return statistics_; }  // [statistics], of the last training forward

  /// shadows = Q(masters), one fused pass.
  void quantize(int64_t step);
  /// Every parameter and gradient is still a view of the flat buffers; else Error(environment).
  void check_views() const;
  /// Copies of masters (not shadows) and running statistics by name, on the CPU.
  NamedTensors master_tensors() const;
  /// The reverse, for resuming and for select = best; Error(model) as assign().
  void load_masters(const NamedTensors& tensors, const std::string& where);
  /// What ships: packed codes of quantized tensors, fp32 of the others.
  ModelFile packed(int64_t step) const;
  /// SHA-256 of the masters' and running statistics' bytes.
  std::string fingerprint() const;

 private:
  void make_views();
  std::unique_ptr<Network> network_;
  std::vector<Segment> segments_;
  std::unique_ptr<Quantizer> quantizer_;
  at::Tensor masters_, shadows_, gradients_, running_, statistics_;
};

}  // namespace bitstill
