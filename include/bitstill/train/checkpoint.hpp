// A student's state in files: what a run needs to continue, or to ship.
#pragma once

#include <string>

#include "bitstill/base/json.hpp"
#include "bitstill/store/model_file.hpp"
#include "bitstill/train/average.hpp"
#include "bitstill/train/learned_optimizer.hpp"
#include "bitstill/train/optimizer.hpp"
#include "bitstill/train/run_state.hpp"
#include "bitstill/train/schedule.hpp"
#include "bitstill/train/student.hpp"

namespace bitstill {

/// Adds to what a run's files say of the model: steps done, quantizer, kind, in this order.
void describe_state(Json& about, const char* kind, const Student& student, int64_t steps);

/// All that a run goes on from: masters, running statistics, learned values, their average, the
/// optimizers' states, schedule, state. `about` describes the model (infer's describe_model),
/// `record` what the run was started with (config's RunRecord). On the CPU its tensors are views.
ModelFile checkpoint_state(Json about, const Json& record, const Student& student,
                           const MasterOptimizer& optimizer,
                           const LearnedOptimizer& learned_optimizer, const WeightAverage& average,
                           const Schedule& schedule, const RunState& state);

/// From a checkpoint's folder, or the one file of an earlier version. Error(model) when it is
/// damaged, or of another network or optimizer.
RunState load_checkpoint(const std::string& path, Student& student, MasterOptimizer& optimizer,
                         LearnedOptimizer& learned_optimizer, WeightAverage& average,
                         Schedule& schedule);

/// What a checkpoint says of its run. Error(model).
struct CheckpointFacts {
  Json record;  // null where an earlier version kept none
  RunState state;
};
CheckpointFacts checkpoint_facts(const std::string& path);

/// Takes out of a model's description what only a run's own checkpoint says.
void forget_run(Json& about);

/// Masters, running statistics and learned values alone (select = best).
ModelFile masters_state(Json about, const Student& student, int64_t steps);
void save_masters(const std::string& path, const Json& about, const Student& student,
                  int64_t steps);
void load_masters(const std::string& path, Student& student);

/// A student as a file left it, and what the file says of the model, with steps.
struct StoredStudent {
  Student student;
  Json about;
};

/// From master.safetensors, best.safetensors or a checkpoint of a run: masters, running statistics
/// and the quantizer's own state, so that student_file() gives what the run shipped, or would have
/// shipped, at that state. Error(model) when the file is none of these, naming what to give
/// instead: packed or decoded weights have lost the masters; full-precision runs had no quantizer.
StoredStudent load_stored_student(const std::string& path);

}  // namespace bitstill
