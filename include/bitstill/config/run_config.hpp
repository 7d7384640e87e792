// Everything a training run can be told: each module's own options, bound to their names.
#pragma once

#include <string>

#include "bitstill/config/setting_table.hpp"
#include "bitstill/data/augmentation.hpp"
#include "bitstill/model/network.hpp"
#include "bitstill/quant/quantizer.hpp"
#include "bitstill/train/options.hpp"

namespace bitstill {

struct RunOptions {
  std::string folder = "runs/run";  // run.folder
  int64_t seed = 1;                 // run.seed
  std::string device = "cpu";       // run.device: cpu | cuda | auto
  int64_t threads = 0;        // run.threads a rank; 0: the allowed cores over the host's ranks
  double timeout_s = 600;     // run.timeout_s of the watchdog; 0: none
  int64_t log_steps = 20;     // run.log_steps
  int64_t check_steps = 200;  // run.check_steps
};

struct RunConfig {
  std::string recipe;                // --config
  std::string resume = "false";      // --resume: false | true | auto
  bool overwrite = false;            // --overwrite
  bool dry_run = false;              // --dry-run
  std::string data_folder;           // data.folder
  int64_t prefetch = 4;              // data.prefetch
  AugmentationOptions augmentation;  // data.shift, data.flip, data.variants
  RunOptions run;
  NetworkSpec model;         // model.*; input and classes come from the shards
  NetworkSpec teacher;       // teacher.*: what a plain PyTorch file cannot say of itself
  std::string teacher_file;  // teacher.file
  std::string teacher_precision = "auto";  // teacher.precision: auto | fp32 | bf16 | int8
  std::string student_init = "random";     // student.init: random | FILE
  QuantOptions quant;
  DistillOptions distill;
  TrainOptions train;
  ExchangeOptions exchange;
};

/// What --resume asks for.
enum class Resume { no, yes, automatic };
Resume resume_of(const RunConfig& config);

/// Binds all settings of `config`, which outlives the table.
void add_settings(SettingTable& table, RunConfig& config);

/// One part of them: "<section>.kind" and so on; "quant.*".
void add_network_settings(SettingTable& table, const std::string& section, NetworkSpec& spec);
void add_quant_settings(SettingTable& table, QuantOptions& options);

/// Each module's own checks, and what only together is wrong. Error(settings).
void check(const RunConfig& config);

}  // namespace bitstill
