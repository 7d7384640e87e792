// torch::optim on slices of the flat masters: one slice a run of parameters of equal decay.
#pragma once

#include <memory>

#include "bitstill/store/model_file.hpp"
#include "bitstill/train/options.hpp"
#include "bitstill/train/student.hpp"

namespace bitstill {

class MasterOptimizer {
 public:
  MasterOptimizer(Student& student, const TrainOptions& options);
  ~MasterOptimizer();

  /// masters <- update(masters, gradients) at this rate; clips first when asked. Returns the
  /// gradient's 2-norm before clipping; when it is not finite nothing is updated.
  double update(double rate);

  /// Its state as flat tensors, for checkpoints: equal names and shapes for equal settings.
  NamedTensors state() const;
  void restore(const NamedTensors& tensors, const std::string& where);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace bitstill
