// Gradients that need no network, and an update as a step does it.
#pragma once

#include <cmath>

#include "bitstill/train/optimizer.hpp"
#include "train_fixture.hpp"

namespace bitstill {

inline TrainOptions options_of(Optimizer optimizer) {
  TrainOptions options;
  options.optimizer = optimizer;
  options.weight_decay = 0.01;
  return options;
}

/// Gradients of step `step`: padding stays zero, as backward leaves it.
inline void set_gradients(Student& student, int64_t step) {
  student.gradients().zero_();
  for (const Segment& segment : student.segments()) {
    float* gradient = student.gradients().data_ptr<float>() + segment.offset;
    for (int64_t i = 0; i < segment.count; ++i) {
      gradient[i] = static_cast<float>(std::sin(0.7 * static_cast<double>(i + segment.offset) +
                                                1.3 * static_cast<double>(step)));
    }
  }
}

/// One update as the training step makes it; the gradient's norm.
inline double update(MasterOptimizer& optimizer, double rate) {
  const double norm = optimizer.gradient_norm();
  if (std::isfinite(norm)) optimizer.update(rate, norm);
  return norm;
}

}  // namespace bitstill
