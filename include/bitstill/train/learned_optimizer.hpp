// Updates of learned points and steps: few values, equal on all ranks.
#pragma once

#include <vector>

#include "bitstill/store/model_file.hpp"
#include "bitstill/train/options.hpp"
#include "bitstill/train/student.hpp"

namespace bitstill {

/// adam: Adam on the sums; scaled: gradients over sqrt(weights points) of the tensor, momentum .9;
/// sgd: plain sums, momentum .9. A point without weights (gradient 0) stays where it is; after each
/// update points are sorted and the state with them. Without learned values it does nothing.
class LearnedOptimizer {
 public:
  LearnedOptimizer(Student& student, const QuantOptions& quant, const TrainOptions& train);

  /// 2-norm of the learned values' gradient.
  double gradient_norm() const;
  /// rate: that of the weights now; the learned values' own rate follows it. Error(numbers) when a
  /// value is no longer finite.
  void update(double rate);

  /// Its state as flat tensors, for checkpoints.
  NamedTensors state() const;
  void restore(const NamedTensors& tensors, const std::string& where);

 private:
  Student& student_;
  bool adam_ = false, scaled_ = false;
  double share_ = 1;  // own rate over train.rate
  int64_t steps_ = 0;
  std::vector<float> mean_, square_;  // moments; sgd: the momentum in mean_
};

}  // namespace bitstill
