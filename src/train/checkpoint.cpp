#include "bitstill/train/checkpoint.hpp"

#include "bitstill/base/text.hpp"
#include "bitstill/infer/loaded_model.hpp"

namespace bitstill {
namespace {

NamedTensors optimizer_tensors(const ModelFile& file) {
  NamedTensors tensors = file.tensors;
  std::erase_if(tensors, [](const auto& named) { return !named.first.starts_with("optimizer."); });
  return tensors;
}

/// Masters, running statistics and learned values.
NamedTensors model_tensors(const ModelFile& file) {
  NamedTensors tensors = file.tensors;
  std::erase_if(tensors, [](const auto& named) { return named.first.starts_with("optimizer."); });
  return tensors;
}

}  // namespace

void save_checkpoint(const std::string& path, Json about, const Student& student,
                     const MasterOptimizer& optimizer, const LearnedOptimizer& learned_optimizer,
                     const Schedule& schedule, const Progress& progress) {
  about["kind"] = "checkpoint";
  about["progress"] = {{"epoch", progress.epoch},
                       {"step", progress.step},
                       {"best_epoch", progress.best_epoch},
                       {"best_accuracy", progress.best_accuracy},
                       {"last_accuracy", progress.last_accuracy}};
  about["schedule"] = schedule.state();
  ModelFile file{about, student.state(), {}};
  for (auto& named : optimizer.state()) file.tensors.push_back(std::move(named));
  for (auto& named : learned_optimizer.state()) file.tensors.push_back(std::move(named));
  write_model_file(path, file);
}

Progress load_checkpoint(const std::string& path, Student& student, MasterOptimizer& optimizer,
                         LearnedOptimizer& learned_optimizer, Schedule& schedule) {
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
    throw Error(ExitCode::model,
                concat(path, " is no checkpoint of a run; start without --resume"));
  }
  if (progress.epoch < 0 || progress.step < 0 || progress.best_epoch < 0 ||
      progress.best_epoch > progress.epoch) {
    throw Error(ExitCode::model, concat(path, " says that ", progress.epoch, " epochs and ",
                                        progress.step, " steps are done, the best epoch ",
                                        progress.best_epoch, "; start without --resume"));
  }
  student.load(model_tensors(file), path);
  const NamedTensors tensors = optimizer_tensors(file);
  optimizer.restore(tensors, path);
  learned_optimizer.restore(tensors, path);
  return progress;
}

void save_masters(const std::string& path, Json about, const Student& student) {
  about["kind"] = "weights";
  write_model_file(path, {about, student.state(), {}});
}

void load_masters(const std::string& path, Student& student) {
  student.load(model_tensors(read_model_file(path)), path);
}

}  // namespace bitstill
