// SGD, Adam and AdamW by LibTorch's fused updates on slices of the flat masters: one slice a run of
// parameters of equal decay, without those that the method leaves alone. LARS and LAMB: a slice a
// parameter; biases and norms neither decay nor are they scaled.
#pragma once

#include <memory>

#include "bitstill/store/model_file.hpp"
#include "bitstill/train/options.hpp"
#include "bitstill/train/student.hpp"

namespace bitstill {

class MasterOptimizer {
 public:
  /// trained: which parameters the method trains (weights: the quantized ones).
  MasterOptimizer(Student& student, const TrainOptions& options, const Trained& trained = {});
  ~MasterOptimizer();

  /// 2-norm of the gradient.
  double gradient_norm() const;
  /// masters <- update(masters, gradients) at this rate; clips first when asked. norm: that of the
  /// gradient, finite.
  void update(double rate, double norm);

  /// Its state as flat tensors, views where it is on the CPU, for checkpoints: equal names and
  /// shapes for equal settings.
  NamedTensors state() const;
  void restore(const NamedTensors& tensors, const std::string& where);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace bitstill
