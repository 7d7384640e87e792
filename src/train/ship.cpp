#include "bitstill/train/ship.hpp"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>

#include "bitstill/comm/agree.hpp"
#include "bitstill/data/sampler.hpp"
#include "bitstill/model/input.hpp"
#include "bitstill/model/weights.hpp"
#include "bitstill/train/checkpoint.hpp"

namespace bitstill {

void reestimate_batch_norm(Student& student, const Dataset& dataset,
                           const Normalization& normalization, int64_t batches, int64_t batch,
                           const EvaluateOptions& options, Communicator& comm) {
  const int64_t samples = dataset.size(Split::train);
  const std::vector<int64_t> order = epoch_order(samples, 0, 0);
  batch = std::min(batch, samples);
  batches = std::min(batches, samples / batch);
  agree(comm, [&] {
    at::NoGradGuard no_grad;
    const BatchPlan plan = [&](int64_t n, std::vector<int64_t>* rows, int64_t* epoch) {
      *epoch = 0;
      rows->assign(order.begin() + n * batch, order.begin() + std::min(batches, n + 1) * batch);
      return n < batches;
    };
    at::Tensor sum = at::zeros_like(student.running());
    ForwardMode mode;
    mode.training = true;
    mode.dropout = false;
    Prefetcher prefetcher(dataset, Split::train, plan, nullptr, 0, 2);
    Batch one;
    while (prefetcher.next(&one)) {
      student.network().forward(to_input(one, student.network().spec().input, normalization,
                                         options.device, options.channels_last),
                                mode);
      sum.add_(student.statistics());
    }
    student.running().copy_(sum.div_(static_cast<double>(batches)));
  });
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
  return model_file_bytes({std::move(about), named_tensors(student.network()), {}});
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
