// What a run was started with, kept in its log and checkpoints, and what may differ when it goes
// on.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "bitstill/base/json.hpp"

namespace bitstill {

using SettingValues = std::vector<std::pair<std::string, std::string>>;

struct RunRecord {
  std::string command;            // train | distill
  SettingValues settings;         // all of them
  std::string data;               // fingerprint of data.folder's index
  std::string teacher;            // SHA-256 of teacher.file; empty: none, or it lies in slices
  std::string teacher_samples;    // sha256_of_samples of it; empty: none
  std::string student_init;       // SHA-256 of student.init; empty: random
  std::string precision;          // what train.precision came to: fp32 | bf16
  std::string teacher_precision;  // what teacher.precision came to; empty: no teacher
  std::string soft_targets;       // what is known of a teacher's answers: "all logits", ...
  std::string device;             // what run.device came to: cpu | cuda
  std::string processor;          // the instructions that decide how sums are rounded
  int64_t world = 1;
};
Json to_json(const RunRecord& record);
/// Also from the start line of a run log. What it lacks is empty. Error(model) naming `where` when
/// it is no such record.
RunRecord run_record_from_json(const Json& json, const std::string& where);

/// What a difference means for a run that goes on.
enum class Matter {
  place,     // where and how fast it runs, what is logged: its result is the same
  file,      // the name of a file; what it holds is compared itself
  length,    // train.epochs: trains on, under the schedule of the new number
  ranks,     // the number of ranks: the same result where micro-batches do not depend on it
  rounding,  // another processor: the same method, other last bits
  method,    // another run
};
/// How the settings of a run may differ.
Matter matter_of(const std::string& setting);

struct Difference {
  std::string name, before, now;
  Matter matter = Matter::method;
};
/// In the order of `now`'s settings, then the rest. A setting that `before` does not know yet had
/// the value of `defaults`; what else it does not know is not compared.
std::vector<Difference> differences(const RunRecord& before, const RunRecord& now,
                                    const SettingValues& defaults);

/// Error(settings) naming each setting that may not change when the run of `folder` goes on, with
/// its old and new value. micro: train.micro_batch, of sentences train.micro_tokens.
void require_may_continue(const std::vector<Difference>& differences, int64_t micro,
                          const std::string& folder);

}  // namespace bitstill
