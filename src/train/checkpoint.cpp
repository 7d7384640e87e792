#include "bitstill/train/checkpoint.hpp"

#include "bitstill/base/text.hpp"

namespace bitstill {
namespace {

const std::string kOptimizer = "optimizer.";

/// The network's tensors of a checkpoint, or those of the optimizer.
NamedTensors part_of(const ModelFile& file, bool optimizer) {
  NamedTensors part;
  for (const auto& [name, tensor] : file.tensors) {
    if (name.starts_with(kOptimizer) == optimizer) part.emplace_back(name, tensor);
  }
  return part;
}

}  // namespace

void save_checkpoint(const std::string& path, Json about, const Student& student,
                     const MasterOptimizer& optimizer, const Schedule& schedule,
                     const Progress& progress) {
  about["kind"] = "checkpoint";
  about["progress"] = {{"epoch", progress.epoch},
                       {"step", progress.step},
                       {"best_epoch", progress.best_epoch},
                       {"best_accuracy", progress.best_accuracy},
                       {"last_accuracy", progress.last_accuracy}};
  about["schedule"] = schedule.state();
  ModelFile file{about, student.master_tensors(), {}};
  for (auto& named : optimizer.state()) file.tensors.push_back(std::move(named));
  write_model_file(path, file);
}

Progress load_checkpoint(const std::string& path, Student& student, MasterOptimizer& optimizer,
                         Schedule& schedule) {
  const ModelFile file = read_model_file(path);
  Progress progress;
  try {
    const Json& json = file.about.at("progress");
    progress.epoch = json.at("epoch").get<int64_t>();
    progress.step = json.at("step").get<int64_t>();
    progress.best_epoch = json.at("best_epoch").get<int64_t>();
    progress.best_accuracy = json.at("best_accuracy").get<double>();
    progress.last_accuracy = json.at("last_accuracy").get<double>();
    schedule.restore(file.about.at("schedule"));
  } catch (const Json::exception&) {
    throw Error(ExitCode::model, concat(path, " is no checkpoint of a run; start without --resume"));
  }
  student.load_masters(part_of(file, false), path);
  optimizer.restore(part_of(file, true), path);
  return progress;
}

void save_masters(const std::string& path, Json about, const Student& student) {
  about["kind"] = "weights";
  write_model_file(path, {about, student.master_tensors(), {}});
}

void load_masters(const std::string& path, Student& student) {
  student.load_masters(decoded_tensors(read_model_file(path)), path);
}

}  // namespace bitstill
