#include "bitstill/config/run_config.hpp"

#include "bitstill/base/error.hpp"
#include "bitstill/base/text.hpp"
#include "bitstill/infer/freeze.hpp"

namespace bitstill {

void add_network_settings(SettingTable& table, const std::string& section, NetworkSpec& spec) {
  const auto name = [&](const char* key) { return section + "." + key; };
  table.add(name("kind"), &spec.kind, list_names(network_kinds(), 20));
  table.add(name("widths"), &spec.widths,
            "convnet: channels of each convolution, for example 6,12");
  table.add(name("kernels"), &spec.kernels, "convnet: kernel of each convolution, or one for all");
  table.add(name("pools"), &spec.pools,
            "convnet: after which convolutions (1, 2, ...) a 2x2 max-pool stands");
  table.add(name("hidden"), &spec.hidden, "convnet: widths of the hidden fully connected layers");
  table.add(
      name("dropout"), &spec.dropout,
      "one a convolution, then one a hidden layer, or one for all; empty: the kind's own; 0: none");
  table.add(name("mean"), &spec.normalization.mean,
            "of each channel, white being 1; empty: its file's own, else the shards'");
  table.add(name("std"), &spec.normalization.deviation, "of each channel, with mean");
}

namespace {

void add_train(SettingTable& table, TrainOptions& t) {
  table.add("train.epochs", &t.epochs, "0: quantize the start and ship it (post-mortem)");
  table.add("train.global_batch", &t.global_batch, "samples a step, over all ranks");
  table.add("train.micro_batch", &t.micro_batch, "samples a forward pass; 0: the local batch");
  table.add("train.optimizer", &t.optimizer, "sgd | adam | adamw");
  table.add("train.rate", &t.rate, "learning rate");
  table.add("train.momentum", &t.momentum, "of sgd");
  table.add("train.nesterov", &t.nesterov, "Nesterov's momentum, of sgd");
  table.add("train.weight_decay", &t.weight_decay,
            "of all parameters or of weights alone: train.decay");
  table.add("train.decay", &t.decay, "all | weights (biases and norms do not decay)");
  table.add("train.clip_norm", &t.clip_norm, "bound of the gradient's 2-norm; 0: none");
  table.add("train.schedule", &t.schedule, "constant | step | cosine | plateau");
  table.add("train.warmup_epochs", &t.warmup_epochs, "the rate grows linearly from 0");
  table.add("train.step_epochs", &t.step_epochs, "step: after which epochs the rate is cut");
  table.add("train.rate_factor", &t.rate_factor, "step, plateau: by which it is cut");
  table.add("train.plateau_epochs", &t.plateau_epochs, "plateau: epochs without an improvement");
  table.add("train.plateau_points", &t.plateau_points, "plateau: what counts as one, in points");
  table.add("train.precision", &t.precision, "fp32 | bf16 | auto (bf16 where the hardware has it)");
  table.add("train.select", &t.select, "last | best (on validation): which epoch ships");
  table.add("train.patience", &t.patience,
            "stop after so many epochs without a better one; 0: never");
  table.add("train.batch_norm", &t.batch_norm, "local | synced: statistics of one rank or of all");
  table.add("train.batch_norm_momentum", &t.batch_norm_momentum, "of the running statistics");
  table.add("train.reestimate_batches", &t.reestimate_batches,
            "batches to re-estimate batch norm with the final quantized weights; 0: off");
}

}  // namespace

void add_quant_settings(SettingTable& table, QuantOptions& q) {
  visit_settings(q, [&](const char* name, auto& member, const char* help) {
    table.add(std::string("quant.") + name, &member, help);
  });
}

void add_settings(SettingTable& table, RunConfig& c) {
  table.add("config", &c.recipe, "recipe file; settings on the command line win");
  table.add("resume", &c.resume, "continue the run of run.folder at its last checkpoint");
  table.add("dry-run", &c.dry_run, "print the resolved settings and the plan, train nothing");
  table.add("data.folder", &c.data_folder, "shards, made by bitstill shard");
  table.add("data.prefetch", &c.prefetch, "batches read ahead");
  table.add("data.shift", &c.augmentation.shift, "random shifts up to so many pixels each way");
  table.add("data.flip", &c.augmentation.flip, "random left-right mirroring");
  table.add("data.variants", &c.augmentation.variants,
            "epochs until augmentation repeats; 0: never");
  table.add("run.folder", &c.run.folder, "where everything is written");
  table.add("run.seed", &c.run.seed, "of initialization, order, augmentation, dropout, rounding");
  table.add("run.device", &c.run.device, "cpu | cuda | auto");
  table.add("run.threads", &c.run.threads,
            "threads a rank; 0: the cores over the host's ranks (exchange.order = fixed: 1)");
  table.add("run.timeout_s", &c.run.timeout_s,
            "end the job when a rank makes no progress; 0: never");
  table.add("run.check_steps", &c.run.check_steps,
            "compare weights and points of all ranks after so many steps");
  table.add("run.log_steps", &c.run.log_steps, "steps a line of run.jsonl");
  add_network_settings(table, "model", c.model);
  add_network_settings(table, "teacher", c.teacher);
  table.add("teacher.file", &c.teacher_file, "the teacher's weights: .safetensors");
  table.add("teacher.precision", &c.teacher_precision,
            "auto (fp32; bf16 by AMX) | fp32 | bf16 | int8 (convolutions on 8-bit codes; CPU)");
  table.add("student.init", &c.student_init, "random | FILE (.safetensors)");
  add_quant_settings(table, c.quant);
  table.add("distill.temperature", &c.distill.temperature, "T of the soft targets");
  table.add("distill.soft_weight", &c.distill.soft_weight, "of T^2 KL; cross-entropy has 1 - it");
  table.add("distill.kl_reduction", &c.distill.kl_reduction,
            "batch | classes (also averaged over classes; parity runs only)");
  add_train(table, c.train);
  table.add("exchange.overlap", &c.exchange.overlap, "auto | on | off: send while backward runs");
  table.add("exchange.order", &c.exchange.order,
            "fast | fixed (bit-identical for any number of ranks; needs train.micro_batch)");
  table.add("exchange.chunk_bytes", &c.exchange.chunk_bytes, "gradient bytes a message");
}

void check(const RunConfig& c) {
  const auto require = [](bool good, const std::string& message) {
    if (!good) throw Error(ExitCode::settings, message);
  };
  require(!c.run.folder.empty(), "run.folder is empty: name a folder to write into");
  require(c.run.seed >= 0, concat("run.seed = ", c.run.seed, ": give 0 or more"));
  require(c.run.device == "cpu" || c.run.device == "cuda" || c.run.device == "auto",
          concat("run.device = ", c.run.device, ": give one of cpu, cuda and auto"));
  require(c.run.threads >= 0 && c.run.threads <= 4096,
          concat("run.threads = ", c.run.threads, ": give 0 (automatic) or more"));
  require(c.run.timeout_s >= 0,
          concat("run.timeout_s = ", c.run.timeout_s, ": give 0 (none) or the seconds to wait"));
  require(c.run.check_steps >= 1,
          concat("run.check_steps = ", c.run.check_steps, ": give 1 or more"));
  require(c.run.log_steps >= 1, concat("run.log_steps = ", c.run.log_steps, ": give 1 or more"));
  require(c.prefetch >= 1 && c.prefetch <= 1000,
          concat("data.prefetch = ", c.prefetch, ": give 1..1000"));
  require(c.augmentation.shift >= 0,
          concat("data.shift = ", c.augmentation.shift, ": give 0 or more"));
  require(c.augmentation.variants >= 0,
          concat("data.variants = ", c.augmentation.variants, ": give 0 or more"));
  if (c.teacher_precision != "auto") inference_precision(c.teacher_precision, "teacher.precision");
  check(c.quant);
  check(c.distill);
  check(c.train);
  check(c.exchange);
  check(c.train, c.exchange);
}

}  // namespace bitstill
