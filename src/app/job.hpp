// One training job on all ranks, from its settings to its result: what train, distill and study do.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "bitstill/base/timer.hpp"
#include "bitstill/comm/agree.hpp"
#include "bitstill/config/run_config.hpp"
#include "bitstill/config/run_record.hpp"
#include "bitstill/data/dataset.hpp"
#include "bitstill/infer/model_vocabulary.hpp"
#include "bitstill/teacher/logit_cache.hpp"
#include "bitstill/teacher/teacher.hpp"
#include "bitstill/train/trainer.hpp"
#include "command.hpp"
#include "device.hpp"
#include "forward_cost.hpp"
#include "kept_teacher.hpp"
#include "run_folder.hpp"

namespace bitstill {

/// Jobs may follow each other in one process; the device and its threads are those of the first.
class Job {
 public:
  /// `table` holds the settings of `config` for the run log; both are copied. With `distill` the
  /// teacher of config.teacher_file, from `teachers`, or of config.teacher_cache takes part.
  /// `study`, unless null, says in the run log which run of a study this is.
  Job(World& world, const SettingTable& table, const RunConfig& config, bool distill,
      KeptTeacher& teachers, Json study = {});

  /// False: stopped by a signal, before the end. Errors are AgreedError, or end the whole job.
  /// Collective: every rank of world calls this, in the same order.
  bool run();

 private:
  void prepare();
  void load_data();
  void load_teacher();
  void build_student(Watchdog& watchdog);
  void take_augmentation_of(const CacheFacts& facts);
  void record_exchange();
  void keep_exchange(const SettingValues& before);
  void print_plan() const;
  int64_t images_of_rank() const;
  int64_t images_of_pass() const;
  void measure_plan(Watchdog& watchdog);
  std::optional<ForwardCost> teacher_cost() const;
  void compare_files();
  void compare_with_earlier();
  RunRecord record() const;
  std::string rate_curve() const;
  RunLog open_log() const;
  Json start_line() const;
  RunStart run_start() const;
  void print_result(const RunResult& result) const;

  World& world_;
  NamedValues settings_;
  RunConfig config_;
  bool distill_;
  KeptTeacher& teachers_;
  Json study_;
  Timer timer_;
  int64_t hosts_ = 0;  // that the ranks are on
  DeviceChoice device_;
  ClaimedFolder folder_;
  std::string teacher_sha256_, teacher_samples_, init_sha256_;
  int64_t teacher_bytes_ = 0;
  std::vector<Difference> changes_;  // since the run was started, on rank 0
  bool finished_ = false;            // it was, and nothing asks for more; on rank 0
  std::unique_ptr<Dataset> dataset_;
  std::optional<VocabularyPair> vocabularies_;  // of token shards
  std::optional<RunPlan> plan_;
  Teacher* teacher_ = nullptr;  // in teachers_, or this job's own:
  std::unique_ptr<Teacher> cached_teacher_;
  Json evaluation_;  // of student.init's file, for those that are made from it
  std::unique_ptr<Student> student_;
};

}  // namespace bitstill
