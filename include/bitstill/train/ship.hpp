// The end of a run: final batch norm, the files that ship, and what the shipped file is worth.
#pragma once

#include <string>

#include "bitstill/comm/communicator.hpp"
#include "bitstill/data/dataset.hpp"
#include "bitstill/infer/evaluate.hpp"
#include "bitstill/train/options.hpp"
#include "bitstill/train/student.hpp"

namespace bitstill {

/// Running statistics = the mean of the batch statistics over train.reestimate_batches training
/// batches, without augmentation or labels, under the quantized weights; micro-batches are divided
/// over ranks and weighted by their samples, the result is the same for any world size.
/// Collective: every rank of comm calls this, in the same order.
void reestimate_batch_norm(Student& student, const Dataset& dataset, const TrainOptions& train,
                           const EvaluateOptions& options, Communicator& comm);

/// What ships after `steps` steps: packed codes, and `about` with steps, quantizer and kind.
ModelFile student_file(Json about, const Student& student, int64_t steps);

/// How large a file with the same network in fp32 is: what "smaller than fp32" is counted from.
uint64_t fp32_file_bytes(Json about, Student& student, int64_t steps);

/// Writes `path` (packed codes; what ships) on rank 0; then every rank has it or throws.
/// Collective: every rank of comm calls this, in the same order.
void write_student_file(const std::string& path, const Json& about, const Student& student,
                        int64_t steps, Communicator& comm);

/// Writes folder/master.safetensors (masters, quantizer settings, steps) and
/// folder/student.safetensors (packed) on rank 0; then every rank has them or throws.
/// Collective: every rank of comm calls this, in the same order.
void write_run_files(const std::string& folder, const Json& about, Student& student, int64_t steps,
                     Communicator& comm);

}  // namespace bitstill
