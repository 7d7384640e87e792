// What a training run can be told; src/config binds these to the command line and the recipe.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace bitstill {

struct TrainOptions {
  int64_t epochs = 12;              // train.epochs; 0: quantize the start and ship it
  int64_t global_batch = 64;        // train.global_batch: samples a step, over all ranks
  int64_t micro_batch = 0;          // train.micro_batch: samples a forward pass; 0: the local batch
  std::string optimizer = "sgd";    // train.optimizer: sgd | adam | adamw
  double rate = 0.05;               // train.rate
  double momentum = 0.9;            // train.momentum (sgd)
  bool nesterov = true;             // train.nesterov (sgd)
  double weight_decay = 2.2e-4;     // train.weight_decay
  std::string decay = "all";        // train.decay: all | weights (no decay of biases and norms)
  double clip_norm = 0;             // train.clip_norm: bound of the gradient's 2-norm; 0: none
  std::string schedule = "cosine";  // train.schedule: constant | step | cosine | plateau
  double warmup_epochs = 0;         // train.warmup_epochs: the rate grows linearly from 0
  std::vector<int64_t> step_epochs;  // train.step_epochs: after which epochs the rate is cut (step)
  double rate_factor = 0.5;          // train.rate_factor: by which it is cut (step, plateau)
  int64_t plateau_epochs = 10;       // train.plateau_epochs: without an improvement (plateau)
  double plateau_points = 0.1;       // train.plateau_points: what counts as one, in points of error
  std::string precision = "auto";    // train.precision: fp32 | bf16 | auto
  std::string select = "last";       // train.select: last | best (on validation)
  int64_t patience = 0;              // train.patience: epochs without a better one; 0: never stop
  std::string batch_norm = "local";  // train.batch_norm: local | synced statistics
  double batch_norm_momentum = 0.1;  // train.batch_norm_momentum of the running statistics
  int64_t reestimate_batches = 0;    // train.reestimate_batches: for the final batch norm; 0: off
};

struct DistillOptions {
  double temperature = 2;              // distill.temperature
  double soft_weight = 0.7;            // distill.soft_weight; the hard loss has 1 - it
  std::string kl_reduction = "batch";  // distill.kl_reduction: batch | classes (parity runs only)
};

struct ExchangeOptions {
  std::string overlap = "auto";   // exchange.overlap: auto | on | off
  std::string order = "fast";     // exchange.order: fast | fixed
  int64_t chunk_bytes = 1 << 20;  // exchange.chunk_bytes
};

/// Error(settings) naming the key, its value and what is allowed.
void check(const TrainOptions& options);
void check(const DistillOptions& options);
void check(const ExchangeOptions& options);
/// What only together is wrong: fixed order needs micro-batches and local batch norm.
void check(const TrainOptions& train, const ExchangeOptions& exchange);

}  // namespace bitstill
