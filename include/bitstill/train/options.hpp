// What a training run can be told; src/config binds these to the command line and the recipe.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "bitstill/base/words.hpp"
#include "bitstill/comm/plan.hpp"
#include "bitstill/comm/processors.hpp"
#include "bitstill/comm/world.hpp"
#include "bitstill/data/augmentation.hpp"
#include "bitstill/data/data_index.hpp"
#include "bitstill/quant/options.hpp"
#include "bitstill/teacher/options.hpp"

namespace bitstill {

enum class Optimizer { sgd, adam, adamw, lars, lamb };
template <>
struct WordsOf<Optimizer> {
  using enum Optimizer;
  static constexpr Word<Optimizer> kTable[] = {
      {sgd, "sgd"},
      {adam, "adam"},
      {adamw, "adamw"},
      {lars, "lars", "sgd, each tensor's step by its norm: large batches"},
      {lamb, "lamb", "the same of adamw"}};
};

enum class Decay { all, weights };
template <>
struct WordsOf<Decay> {
  using enum Decay;
  static constexpr Word<Decay> kTable[] = {{all, "all"},
                                           {weights, "weights", "biases and norms do not decay"}};
};

enum class RateSchedule { constant, step, cosine, polynomial, plateau, halve, inverse_sqrt };
template <>
struct WordsOf<RateSchedule> {
  using enum RateSchedule;
  static constexpr Word<RateSchedule> kTable[] = {
      {constant, "constant"},
      {step, "step"},
      {cosine, "cosine"},
      {polynomial, "polynomial"},
      {plateau, "plateau"},
      {halve, "halve", "OpenNMT's: cut in each epoch after train.step_epochs"},
      {inverse_sqrt, "inverse_sqrt", "Transformers': grows, then falls as 1 / sqrt(step)"}};
};

enum class TrainPrecision { fp32, bf16, automatic };
template <>
struct WordsOf<TrainPrecision> {
  using enum TrainPrecision;
  static constexpr Word<TrainPrecision> kTable[] = {
      {fp32, "fp32"}, {bf16, "bf16"}, {automatic, "auto", "bf16 where the hardware has it"}};
};

enum class Select { last, best };
template <>
struct WordsOf<Select> {
  using enum Select;
  static constexpr Word<Select> kTable[] = {{last, "last"}, {best, "best", "on validation"}};
};

enum class Average { none, ema, last };
template <>
struct WordsOf<Average> {
  using enum Average;
  static constexpr Word<Average> kTable[] = {{none, "none"},
                                             {ema, "ema", "exponential, over steps"},
                                             {last, "last", "mean of the last epochs' ends"}};
};

enum class BatchNormSource { local, synced };
template <>
struct WordsOf<BatchNormSource> {
  using enum BatchNormSource;
  static constexpr Word<BatchNormSource> kTable[] = {{local, "local"}, {synced, "synced"}};
};

enum class SoftLoss { kl, dist };
template <>
struct WordsOf<SoftLoss> {
  using enum SoftLoss;
  static constexpr Word<SoftLoss> kTable[] = {
      {kl, "kl"}, {dist, "dist", "correlations between and within classes, of a micro-batch"}};
};

enum class KlReduction { batch, classes };
template <>
struct WordsOf<KlReduction> {
  using enum KlReduction;
  static constexpr Word<KlReduction> kTable[] = {
      {batch, "batch"}, {classes, "classes", "also averaged over classes; parity runs only"}};
};

enum class ExchangeOrder { fast, fixed };
template <>
struct WordsOf<ExchangeOrder> {
  using enum ExchangeOrder;
  static constexpr Word<ExchangeOrder> kTable[] = {
      {fast, "fast"},
      {fixed, "fixed",
       "bit-identical for any number of ranks; needs train.micro_batch, of sentences "
       "train.micro_tokens"}};
};

/// How gradients look on their way.
enum class Codec { none, bf16, qsgd, automatic };
template <>
struct WordsOf<Codec> {
  using enum Codec;
  static constexpr Word<Codec> kTable[] = {
      {none, "none"},
      {bf16, "bf16", "half the bytes; each addition is rounded"},
      {qsgd, "qsgd", "an eighth: 4 bits a weight, rounded at random without bias"},
      {automatic, "auto", "qsgd where a start's trial shows it a quarter faster, else none"}};
};

/// train.*; each setting's meaning stands in visit_settings below, as for the others.
struct TrainOptions {
  int64_t epochs = 12;
  int64_t global_batch = 64, micro_batch = 0;      // of images
  int64_t global_tokens = 4000, micro_tokens = 0;  // of sentences
  Optimizer optimizer = Optimizer::sgd;
  double rate = 0.05, momentum = 0.9;
  int64_t base_batch = 0;
  double trust = 1e-3;
  bool nesterov = true;
  double weight_decay = 2.2e-4;
  Decay decay = Decay::all;
  double clip_norm = 0;
  RateSchedule schedule = RateSchedule::cosine;
  double warmup_epochs = 0;
  int64_t warmup_steps = 0;
  std::vector<int64_t> step_epochs;
  double rate_factor = 0.5, power = 2;
  int64_t plateau_epochs = 10;
  double plateau_points = 0.1;
  double label_smoothing = 0;
  Average average = Average::none;
  double average_decay = 0.999;
  int64_t average_epochs = 5;
  TrainPrecision precision = TrainPrecision::automatic;
  Select select = Select::last;
  int64_t patience = 0;
  BatchNormSource batch_norm = BatchNormSource::local;
  double batch_norm_momentum = 0.1;
  int64_t reestimate_batches = 0;
};
template <ConstOr<TrainOptions> Options, class Visit>
void visit_settings(Options& options, const Visit& visit) {
  visit("epochs", options.epochs, "0: quantize the start and ship it (post-mortem)");
  visit("global_batch", options.global_batch, "images a step, over all ranks");
  visit("micro_batch", options.micro_batch, "images a forward pass; 0: the local batch");
  visit("global_tokens", options.global_tokens,
        "of sentences: target tokens a step, over all ranks, each sentence's end among them");
  visit("micro_tokens", options.micro_tokens,
        "of sentences: tokens a forward pass, padding included, of the longer side; 0: a rank's "
        "part of train.global_tokens");
  visit("optimizer", options.optimizer, "");
  visit("rate", options.rate, "learning rate");
  visit("base_batch", options.base_batch,
        "train.rate is for so many samples a step and grows with train.global_batch; 0: it is not");
  visit("momentum", options.momentum, "of sgd and lars");
  visit("nesterov", options.nesterov, "Nesterov's momentum, of sgd");
  visit("trust", options.trust, "lars: trust coefficient");
  visit("weight_decay", options.weight_decay, "of all parameters or of weights alone: train.decay");
  visit("decay", options.decay, "");
  visit("clip_norm", options.clip_norm, "bound of the gradient's 2-norm; 0: none");
  visit("schedule", options.schedule, "");
  visit("warmup_epochs", options.warmup_epochs, "the rate grows linearly from 0");
  visit("warmup_steps", options.warmup_steps,
        "inverse_sqrt: so many steps the rate grows linearly, up to train.rate");
  visit("step_epochs", options.step_epochs,
        "step: after which epochs the rate is cut; halve: after which one it is cut in each");
  visit("rate_factor", options.rate_factor, "step, plateau, halve: by which it is cut");
  visit("power", options.power, "polynomial: the rate falls as (1 - done)^power");
  visit("plateau_epochs", options.plateau_epochs, "plateau: epochs without an improvement");
  visit("plateau_points", options.plateau_points,
        "plateau: what counts as one, in points of validation error");
  visit("label_smoothing", options.label_smoothing, "share of a label that all classes have alike");
  visit("average", options.average,
        "weights, statistics and learned values that are validated and shipped");
  visit("average_decay", options.average_decay, "ema: what stays after a step");
  visit("average_epochs", options.average_epochs, "last: how many");
  visit("precision", options.precision, "");
  visit("select", options.select, "which epoch ships");
  visit("patience", options.patience, "stop after so many epochs without a better one; 0: never");
  visit("batch_norm", options.batch_norm, "statistics of one rank or of all");
  visit("batch_norm_momentum", options.batch_norm_momentum, "of the running statistics");
  visit("reestimate_batches", options.reestimate_batches,
        "batches to re-estimate batch norm with the final quantized weights; 0: off");
}

/// distill.*
struct DistillOptions {
  double temperature = 2, soft_weight = 0.7;
  KlReduction kl_reduction = KlReduction::batch;
  SoftLoss loss = SoftLoss::kl;
  int64_t slice_rows = 256;
};
template <ConstOr<DistillOptions> Options, class Visit>
void visit_settings(Options& options, const Visit& visit) {
  visit("loss", options.loss, "of the soft targets");
  visit("temperature", options.temperature, "T of the soft targets");
  visit("soft_weight", options.soft_weight, "of T^2 KL or dist; cross-entropy has 1 - it");
  visit("kl_reduction", options.kl_reduction, "");
  visit("slice_rows", options.slice_rows,
        "sentences: target tokens whose logits are in memory at once");
}

/// exchange.*
struct ExchangeOptions {
  Overlap overlap = Overlap::automatic;
  ExchangeOrder order = ExchangeOrder::fast;
  int64_t chunk_bytes = kDefaultChunkBytes;
  Codec codec = Codec::none;
};
template <ConstOr<ExchangeOptions> Options, class Visit>
void visit_settings(Options& options, const Visit& visit) {
  visit("overlap", options.overlap, "send while backward runs");
  visit("order", options.order, "");
  visit(
      "chunk_bytes", options.chunk_bytes,
      "gradient bytes a message, with qsgd eight times as many; 0: measured at a run's start, then "
      "kept in its recipe");
  visit("codec", options.codec,
        "of gradients on their way; the run's recipe keeps what auto came to");
}

/// When a checkpoint cannot be written.
enum class OnStorageError { stop, go_on };
template <>
struct WordsOf<OnStorageError> {
  using enum OnStorageError;
  static constexpr Word<OnStorageError> kTable[] = {
      {stop, "stop"}, {go_on, "go_on", "with the checkpoints that are there"}};
};

/// run.*; each setting's meaning stands in visit_settings below.
struct RunOptions {
  std::string folder = "runs/run";
  int64_t seed = 1;
  DeviceWish device = DeviceWish::cpu;
  int64_t threads = 0;
  bool tf32 = false;
  double timeout_s = 600, load_factor = 10, save_factor = 10;
  double walltime_s = 0;
  int64_t stop_steps = 0;
  int64_t check_steps = 200, log_steps = 20;
  int64_t save_steps = 0;
  double save_minutes = 10;
  int64_t keep = 3, keep_every = 0;
  OnStorageError on_storage_error = OnStorageError::stop;
  bool tensorboard = false;
};
template <ConstOr<RunOptions> Options, class Visit>
void visit_settings(Options& options, const Visit& visit) {
  visit("folder", options.folder, "where everything is written");
  visit("seed", options.seed, "of initialization, order, augmentation, dropout, rounding");
  visit("device", options.device, "");
  visit("threads", options.threads,
        "threads a rank; 0: the cores over the host's ranks (exchange.order = fixed: 1)");
  visit("tf32", options.tf32, "GPUs: products of fp32 by TF32, which keeps 10 bits of a factor");
  visit("timeout_s", options.timeout_s, "end the job when a rank makes no progress; 0: never");
  visit("load_factor", options.load_factor,
        "run.timeout_s is so many times longer while files load");
  visit("save_factor", options.save_factor, "run.timeout_s is so many times longer in a save");
  visit("walltime_s", options.walltime_s,
        "stop in good order, exit code 75, so many seconds after the start; 0: no limit");
  visit("stop_steps", options.stop_steps,
        "stop in good order, exit code 0, after so many steps of the run; 0: no limit");
  visit("save_steps", options.save_steps,
        "a checkpoint after so many steps, besides those at epochs' ends; 0: none");
  visit("save_minutes", options.save_minutes, "a checkpoint when the last one is so old; 0: none");
  visit("keep", options.keep, "checkpoints, the newest");
  visit("keep_every", options.keep_every,
        "keep those after multiples of so many steps, too; 0: none");
  visit("on_storage_error", options.on_storage_error, "when a checkpoint cannot be written");
  visit("check_steps", options.check_steps,
        "compare weights and points of all ranks after so many steps");
  visit("log_steps", options.log_steps, "steps a line of run.jsonl");
  visit("tensorboard", options.tensorboard,
        "losses, accuracies and rate for TensorBoard besides, in run.folder/tensorboard");
}

/// All that steps and epochs are told.
struct TrainingOptions {
  TrainOptions train;
  DistillOptions distill;
  ExchangeOptions exchange;
  QuantOptions quant;
  AugmentationOptions augmentation;  // data.shift, data.flip, data.crop, ...; settled for training
  int64_t prefetch = 4;              // data.prefetch: batches read ahead
  int64_t decode_threads = 1;        // data.threads
  int64_t window = 100000;           // data.window: sentences that are sorted together
  RunOptions run;
  TeacherLayout layout;  // teacher.sharding, teacher.window, ...
};

/// data.augment_seed, or run.seed.
uint64_t augmentation_seed(const TrainingOptions& options);

/// Bytes of gradients in a chunk: with qsgd so many that as much travels as without.
int64_t gradient_chunk_bytes(const ExchangeOptions& options);

/// Error(settings) naming the key, its value and what is allowed.
void check(const TrainOptions& options);
void check(const DistillOptions& options);
void check(const ExchangeOptions& options);
/// What only together is wrong: fixed order needs micro-batches and local batch norm.
void check(const TrainOptions& train, const ExchangeOptions& exchange);
/// What is not for data of this content.
void check(const TrainingOptions& options, Content content);

}  // namespace bitstill
