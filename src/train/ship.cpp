#include "bitstill/train/ship.hpp"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>

#include "bitstill/comm/agree.hpp"
#include "bitstill/model/input.hpp"
#include "bitstill/model/weights.hpp"
#include "bitstill/train/checkpoint.hpp"
#include "bitstill/train/sample_pass.hpp"

namespace bitstill {

void reestimate_batch_norm(Student& student, const Dataset& dataset, const TrainOptions& train,
                           const EvaluateOptions& options, Communicator& comm) {
  const at::NoGradGuard no_grad;
  ForwardMode mode;
  mode.training = true;
  mode.dropout = false;
  const auto statistics = [&](const Batch& batch, int64_t samples) {
    student.network().forward(
        to_input(batch, student.network().spec().input, student.network().spec().normalization,
                 options.device, options.channels_last),
        mode);
    const double share = static_cast<double>(batch.count()) / static_cast<double>(samples);
    return student.statistics() * share;
  };
  const SamplePass pass{train.reestimate_batches, train.global_batch, train.micro_batch};
  student.running().copy_(
      sum_over_pass(dataset, pass, student.running().numel(), statistics, options.progress, comm));
}

ModelFile student_file(Json about, const Student& student, int64_t steps) {
  describe_state(about, "student", student, steps);
  ModelFile file = student.packed(steps);
  file.about = std::move(about);
  return file;
}

uint64_t fp32_file_bytes(Json about, Student& student, int64_t steps) {
  describe_state(about, "student", student, steps);
  about["quantizer"] = nullptr;
  ModelFile file{std::move(about), named_tensors(student.network()), {}};
  file.attached = student.attached();
  return model_file_bytes(file);
}

void write_student_file(const std::string& path, const Json& about, const Student& student,
                        int64_t steps, Communicator& comm) {
  agree(comm, [&] {
    if (comm.rank() == 0) write_model_file(path, student_file(about, student, steps));
  });
}

void write_run_files(const std::string& folder, const Json& about, Student& student, int64_t steps,
                     Communicator& comm) {
  agree(comm, [&] {
    if (comm.rank() == 0) save_masters(folder + "/master.safetensors", about, student, steps);
  });
  write_student_file(folder + "/student.safetensors", about, student, steps, comm);
}

}  // namespace bitstill
