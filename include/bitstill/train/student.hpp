// The network in training: flat masters, quantized shadows and gradients, and views into them.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "bitstill/model/network.hpp"
#include "bitstill/model/weights.hpp"
#include "bitstill/quant/quantizer.hpp"
#include "bitstill/store/model_file.hpp"

namespace bitstill {

/// Of the learned values' names in files: "quantizer.NAME".
inline const std::string kQuantizerPrefix = "quantizer.";

/// Points of a parameter under the options (quant.tensors, first_layer, last_layer, rules); 0: it
/// stays fp32.
int64_t points_of(const Parameter& parameter, const QuantOptions& options);

/// Owns a network whose parameters are views of one flat buffer of shadows and whose gradients are
/// views of another. Each parameter starts on 64 bytes; padding stays zero. Batch-norm running
/// statistics and the statistics of the last forward pass are two more flat buffers.
class Student {
 public:
  /// Takes the network with its present values as masters, from which learned points or steps
  /// start. points: of each parameter in order (0: fp32), instead of those of the options.
  Student(std::unique_ptr<Network> network, const QuantOptions& options, uint64_t seed,
          const at::Device& device, const std::vector<int64_t>& points = {});

  Network& network() { return *network_; }
  const std::vector<Segment>& segments() const { return segments_; }
  Quantizer* quantizer() { return quantizer_.get(); }
  const Quantizer* quantizer() const { return quantizer_.get(); }

  at::Tensor& masters() { return masters_; }  // [elements]
  at::Tensor& shadows() { return shadows_; }  // [elements]; the masters where nothing is quantized
  at::Tensor& gradients() { return gradients_; }  // [elements]
  /// [learned points or steps], on the CPU.
  at::Tensor& learned_gradients() { return learned_gradients_; }
  at::Tensor& running() { return running_; }        // [statistics]
  at::Tensor& statistics() { return statistics_; }  // [statistics], of the last training forward

  /// running() moves towards `batch` [statistics] by `momentum`, or a buffer's own.
  void move_running(const at::Tensor& batch, double momentum);

  /// shadows = Q(masters), one fused pass.
  void quantize(int64_t step);
  /// Error(numbers) of the last quantize(), where that did not wait for its GPU.
  void require_good() const {
    if (quantizer_) quantizer_->require_good();
  }
  /// gradients() of the shadows become those of the masters, and learned_gradients(), where asked
  /// for, those of what is learned, for the weights of the last quantize(). Linear in the
  /// gradients.
  void backward(bool learned);
  /// The gradients become views of `flat` [elements], a part of a message; their values are lost.
  void move_gradients(const at::Tensor& flat);
  /// Every parameter and gradient is still a view of the flat buffers; else Error(environment).
  void check_views() const;
  /// Masters (not shadows) and running statistics by name, on the CPU; and the learned values, as
  /// "quantizer.NAME" [points or steps] of each quantized tensor. They change with the student:
  /// where this is on the CPU they are views of it.
  NamedTensors state() const;
  /// The reverse, for resuming and for select = best; Error(model) as assign().
  void load(const NamedTensors& tensors, const std::string& where);
  /// What ships: packed codes of quantized tensors, fp32 of the others.
  ModelFile packed(int64_t step) const;
  /// What every file made of this student carries beside it (ModelFile::attached).
  void attach(NamedTensors attached) { attached_ = std::move(attached); }
  const NamedTensors& attached() const { return attached_; }
  /// A hash of each tensor of state(), under its name.
  std::vector<std::pair<std::string, std::string>> fingerprints() const;

 private:
  void make_views();
  void load_learned(const NamedTensors& tensors, const std::string& where);
  std::unique_ptr<Network> network_;
  std::vector<Segment> segments_;
  std::unique_ptr<Quantizer> quantizer_;
  at::Tensor masters_, shadows_, gradients_, learned_gradients_, running_, statistics_;
  NamedTensors attached_;
  int64_t step_ = 0;  // of the last quantize()
};

}  // namespace bitstill
