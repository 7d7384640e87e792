#include "bitstill/train/options.hpp"

#include <algorithm>

#include "bitstill/base/error.hpp"
#include "bitstill/base/text.hpp"

namespace bitstill {
namespace {

template <class Value>
void require(bool good, const char* key, const Value& value, std::string_view allowed) {
  if (!good) throw Error(ExitCode::settings, concat(key, " = ", value, ": ", allowed));
}

}  // namespace

uint64_t augmentation_seed(const TrainingOptions& options) {
  const int64_t own = options.augmentation.seed;
  return static_cast<uint64_t>(own >= 0 ? own : options.run.seed);
}

int64_t gradient_chunk_bytes(const ExchangeOptions& options) {
  return options.codec == Codec::qsgd ? 8 * options.chunk_bytes : options.chunk_bytes;
}

void check(const TrainOptions& o) {
  require(o.epochs >= 0, "train.epochs", o.epochs, "give 0 or more");
  require(o.global_batch >= 2, "train.global_batch", o.global_batch,
          "give at least 2 (batch norm needs two samples)");
  require(o.micro_batch >= 0 && o.micro_batch != 1, "train.micro_batch", o.micro_batch,
          "give 0 (the local batch) or at least 2");
  require(o.global_tokens >= 1, "train.global_tokens", o.global_tokens, "give at least 1");
  require(o.micro_tokens >= 0, "train.micro_tokens", o.micro_tokens,
          "give 0 (a rank's part of train.global_tokens) or more");
  require(o.micro_tokens <= o.global_tokens, "train.micro_tokens", o.micro_tokens,
          concat("above train.global_tokens = ", o.global_tokens,
                 ", a forward pass would hold more than a step; lower it, or raise that"));
  require(o.micro_tokens == 0 || o.micro_batch == 0, "train.micro_tokens", o.micro_tokens,
          "of sentences, and train.micro_batch of images; give one of the two");
  require(o.rate > 0 && o.rate <= 1000, "train.rate", o.rate, "give a number above 0");
  require(o.momentum >= 0 && o.momentum < 1, "train.momentum", o.momentum,
          "give 0 <= momentum < 1");
  require(o.base_batch >= 0, "train.base_batch", o.base_batch, "give 0 (off) or more");
  require(o.trust > 0, "train.trust", o.trust, "give a number above 0");
  require(!(o.optimizer == Optimizer::sgd && o.nesterov && o.momentum == 0), "train.nesterov",
          "true", "Nesterov needs train.momentum above 0");
  require(o.weight_decay >= 0 && o.weight_decay < 1, "train.weight_decay", o.weight_decay,
          "give 0 <= weight_decay < 1");
  require(o.clip_norm >= 0, "train.clip_norm", o.clip_norm, "give 0 (off) or more");
  require(o.warmup_epochs >= 0, "train.warmup_epochs", o.warmup_epochs, "give 0 or more");
  const bool by_root = o.schedule == RateSchedule::inverse_sqrt;
  require(!by_root || o.warmup_steps > 0, "train.schedule", o.schedule,
          "give train.warmup_steps too, for example 4000");
  require(by_root ? o.warmup_epochs == 0 : o.warmup_steps == 0, "train.warmup_steps",
          o.warmup_steps,
          "train.schedule = inverse_sqrt grows by it alone, all others by train.warmup_epochs");
  require(o.schedule != RateSchedule::step || !o.step_epochs.empty(), "train.schedule", o.schedule,
          "give train.step_epochs too, for example 30,60,80");
  require(o.schedule != RateSchedule::halve || o.step_epochs.size() == 1, "train.schedule",
          o.schedule, "give one epoch as train.step_epochs, for example 8");
  require(std::is_sorted(o.step_epochs.begin(), o.step_epochs.end()), "train.step_epochs",
          o.step_epochs.empty() ? 0 : o.step_epochs.front(), "give epochs in rising order");
  require(o.rate_factor > 0 && o.rate_factor <= 1, "train.rate_factor", o.rate_factor,
          "give 0 < rate_factor <= 1");
  require(o.power > 0 && o.power <= 10, "train.power", o.power, "give 0 < power <= 10");
  require(o.label_smoothing >= 0 && o.label_smoothing < 1, "train.label_smoothing",
          o.label_smoothing, "give 0 <= label_smoothing < 1");
  require(o.average_decay >= 0 && o.average_decay < 1, "train.average_decay", o.average_decay,
          "give 0 <= average_decay < 1");
  require(o.average_epochs >= 1, "train.average_epochs", o.average_epochs, "give 1 or more");
  require(o.average != Average::last || o.patience == 0, "train.average", o.average,
          "a run that may stop early does not know its last epochs; leave out train.patience");
  require(o.plateau_epochs >= 1, "train.plateau_epochs", o.plateau_epochs, "give 1 or more");
  require(o.plateau_points >= 0, "train.plateau_points", o.plateau_points, "give 0 or more");
  require(o.patience >= 0, "train.patience", o.patience, "give 0 (off) or more");
  require(o.batch_norm_momentum > 0 && o.batch_norm_momentum <= 1, "train.batch_norm_momentum",
          o.batch_norm_momentum, "give 0 < momentum <= 1");
  require(o.reestimate_batches >= 0, "train.reestimate_batches", o.reestimate_batches,
          "give 0 (off) or more");
}

void check(const DistillOptions& o) {
  require(o.temperature > 0 && o.temperature <= 1000, "distill.temperature", o.temperature,
          "give a number above 0");
  require(o.soft_weight >= 0 && o.soft_weight <= 1, "distill.soft_weight", o.soft_weight,
          "give 0 <= soft_weight <= 1");
  require(o.slice_rows >= 1, "distill.slice_rows", o.slice_rows, "give at least 1");
}

void check(const ExchangeOptions& o) {
  require(o.chunk_bytes == 0 || o.chunk_bytes >= 1024, "exchange.chunk_bytes", o.chunk_bytes,
          "give 0 (measured) or at least 1024");
  require(o.codec == Codec::none || o.order == ExchangeOrder::fast, "exchange.codec", o.codec,
          "rounded sums depend on the number of ranks; use none with exchange.order = fixed");
}

void check(const TrainOptions& train, const ExchangeOptions& exchange) {
  if (exchange.order != ExchangeOrder::fixed) return;
  require(train.micro_batch > 0 || train.micro_tokens > 0, "exchange.order", exchange.order,
          "fixed order adds micro-batches as a tree; give train.micro_batch too, for example 16, "
          "or of sentences train.micro_tokens, for example 512");
  require(
      train.batch_norm == BatchNormSource::local, "train.batch_norm", train.batch_norm,
      "synchronized statistics depend on the world size; use local with exchange.order = fixed");
}

void check(const TrainingOptions& o, Content content) {
  const TrainOptions& train = o.train;
  if (content != Content::tokens) {
    require(train.micro_tokens == 0, "train.micro_tokens", train.micro_tokens,
            "the shards hold images; give train.micro_batch");
    return;
  }
  require(train.micro_batch == 0, "train.micro_batch", train.micro_batch,
          "the shards hold sentences; give train.micro_tokens");
  require(train.base_batch == 0, "train.base_batch", train.base_batch,
          "it counts images, and the shards hold sentences; leave it out");
  require(o.distill.loss == SoftLoss::kl, "distill.loss", o.distill.loss,
          "it compares the images of a micro-batch, and the shards hold sentences; give kl");
  require(o.quant.redistribute == Redistribute::off, "quant.redistribute", o.quant.redistribute,
          "it compares gradients of images, and the shards hold sentences; leave it out");
}

}  // namespace bitstill
