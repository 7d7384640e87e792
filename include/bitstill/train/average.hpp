// The average of a student over its training, which is validated and ships in its place.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

#include "bitstill/store/model_file.hpp"
#include "bitstill/train/options.hpp"
#include "bitstill/train/student.hpp"

namespace bitstill {

/// Of masters, running statistics and learned values alike; the student outlives it. Averages of
/// points that rise rise, too: each is the same monotone sum of theirs. Every rank makes the same
/// calls and has the same bits.
class WeightAverage {
 public:
  WeightAverage(Student& student, const TrainOptions& options);

  /// ema: average = decay average + (1 - decay) student, from the first step on; decay is the least
  /// of train.average_decay and (1 + n) / (10 + n) after n steps, so that the start is forgotten.
  void after_step();
  /// last: the mean over the ends of the last train.average_epochs. `epoch`: how many are done.
  void after_epoch(int64_t epoch);

  /// The student becomes the average, and the average keeps what the student was, until the next
  /// call. Does nothing before there is one.
  void swap();

  /// For checkpoints, views where it is on the CPU; restore() throws Error(model) naming `where`.
  NamedTensors state() const;
  void restore(const NamedTensors& tensors, const std::string& where);

 private:
  void take(double share);
  Student& student_;
  TrainOptions options_;
  int64_t count_ = 0;  // steps or epochs in it
  at::Tensor masters_, running_;
  std::vector<float> learned_;
};

/// While it lives the student is its average.
class AveragedStudent {
 public:
  explicit AveragedStudent(WeightAverage& average) : average_(average) { average_.swap(); }
  ~AveragedStudent() { average_.swap(); }
  AveragedStudent(const AveragedStudent&) = delete;
  AveragedStudent& operator=(const AveragedStudent&) = delete;

 private:
  WeightAverage& average_;
};

}  // namespace bitstill
