// Everything a training run can be told: each module's own options, bound to their names.
#pragma once

#include <string>

#include "bitstill/config/setting_table.hpp"
#include "bitstill/infer/freeze.hpp"
#include "bitstill/model/network.hpp"
#include "bitstill/train/options.hpp"

namespace bitstill {

/// What --resume asks for.
enum class Resume { no, yes, automatic };
template <>
struct WordsOf<Resume> {
  using enum Resume;
  static constexpr Word<Resume> kTable[] = {{no, "false"}, {yes, "true"}, {automatic, "auto"}};
};

struct RunConfig : TrainingOptions {
  std::string recipe;          // --config
  Resume resume = Resume::no;  // --resume
  bool overwrite = false;      // --overwrite
  bool dry_run = false;        // --dry-run
  std::string data_folder;     // data.folder
  NetworkSpec model;           // model.*; input and classes come from the shards
  NetworkSpec teacher;         // teacher.*: what a plain PyTorch file cannot say of itself
  std::string teacher_file;    // teacher.file
  std::string teacher_cache;   // teacher.cache
  TeacherPrecision teacher_precision = TeacherPrecision::automatic;  // teacher.precision
  std::string student_init = "random";                               // student.init: random | FILE
};

/// Binds all settings of `config`, which outlives the table.
void add_settings(SettingTable& table, RunConfig& config);

/// Each module's own checks, and what only together is wrong. Error(settings).
void check(const RunConfig& config);

}  // namespace bitstill
