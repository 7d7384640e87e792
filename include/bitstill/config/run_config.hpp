// Everything a training run can be told: each module's own options, bound to their names.
#pragma once

#include <string>

#include "bitstill/comm/processors.hpp"
#include "bitstill/config/setting_table.hpp"
#include "bitstill/data/augmentation.hpp"
#include "bitstill/infer/freeze.hpp"
#include "bitstill/model/network.hpp"
#include "bitstill/quant/quantizer.hpp"
#include "bitstill/train/options.hpp"

namespace bitstill {

/// What --resume asks for.
enum class Resume { no, yes, automatic };
template <>
struct WordsOf<Resume> {
  using enum Resume;
  static constexpr Word<Resume> table[] = {{no, "false"}, {yes, "true"}, {automatic, "auto"}};
};

/// run.*; each setting's meaning stands in visit_settings below.
struct RunOptions {
  std::string folder = "runs/run";
  int64_t seed = 1;
  DeviceWish device = DeviceWish::cpu;
  int64_t threads = 0;
  double timeout_s = 600;
  int64_t check_steps = 200, log_steps = 20;
  bool tensorboard = false;
};
template <ConstOr<RunOptions> Options, class Visit>
void visit_settings(Options& options, const Visit& visit) {
  visit("folder", options.folder, "where everything is written");
  visit("seed", options.seed, "of initialization, order, augmentation, dropout, rounding");
  visit("device", options.device, "");
  visit("threads", options.threads,
        "threads a rank; 0: the cores over the host's ranks (exchange.order = fixed: 1)");
  visit("timeout_s", options.timeout_s, "end the job when a rank makes no progress; 0: never");
  visit("check_steps", options.check_steps,
        "compare weights and points of all ranks after so many steps");
  visit("log_steps", options.log_steps, "steps a line of run.jsonl");
  visit("tensorboard", options.tensorboard,
        "losses, accuracies and rate for TensorBoard besides, in run.folder/tensorboard");
}

struct RunConfig {
  std::string recipe;                // --config
  Resume resume = Resume::no;        // --resume
  bool overwrite = false;            // --overwrite
  bool dry_run = false;              // --dry-run
  std::string data_folder;           // data.folder
  int64_t prefetch = 4;              // data.prefetch
  AugmentationOptions augmentation;  // data.shift, data.flip, data.variants
  RunOptions run;
  NetworkSpec model;         // model.*; input and classes come from the shards
  NetworkSpec teacher;       // teacher.*: what a plain PyTorch file cannot say of itself
  std::string teacher_file;  // teacher.file
  TeacherPrecision teacher_precision = TeacherPrecision::automatic;  // teacher.precision
  std::string student_init = "random";                               // student.init: random | FILE
  QuantOptions quant;
  DistillOptions distill;
  TrainOptions train;
  ExchangeOptions exchange;
};

/// Binds all settings of `config`, which outlives the table.
void add_settings(SettingTable& table, RunConfig& config);

/// Each module's own checks, and what only together is wrong. Error(settings).
void check(const RunConfig& config);

}  // namespace bitstill
