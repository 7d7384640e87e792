#include "bitstill/train/checkpoint.hpp"

#include <algorithm>

#include "bitstill/base/text.hpp"
#include "bitstill/infer/loaded_model.hpp"
#include "bitstill/store/checkpoint_folder.hpp"
#include "bitstill/store/tensor_file.hpp"

namespace bitstill {
namespace {

NamedTensors starting_with(const char* prefix, const ModelFile& file) {
  NamedTensors tensors = file.tensors;
  std::erase_if(tensors, [&](const auto& named) { return !named.first.starts_with(prefix); });
  return tensors;
}

/// Of what a file says of itself; null where it says nothing.
Json part_of(const Json& about, const char* name) {
  return about.is_object() ? about.value(name, Json()) : Json();
}

/// Masters, running statistics and learned values.
NamedTensors model_tensors(const ModelFile& file) {
  NamedTensors tensors = file.tensors;
  std::erase_if(tensors, [](const auto& named) {
    return named.first.starts_with("optimizer.") || named.first.starts_with("average.");
  });
  return tensors;
}

/// Points of each parameter: the options', but those that were moved between tensors (quant.
/// redistribute) as many as the file holds.
std::vector<int64_t> stored_points(const Network& network, const QuantOptions& options,
                                   const ModelFile& file, const std::string& path) {
  std::vector<int64_t> points;
  for (const Parameter* parameter : network.parameters()) {
    points.push_back(points_of(*parameter, options));
    if (points.back() == 0 || options.redistribute == Redistribute::off) continue;
    const auto found = std::find_if(
        file.tensors.begin(), file.tensors.end(),
        [&](const auto& named) { return named.first == kQuantizerPrefix + parameter->name; });
    points.back() = found == file.tensors.end() ? 0 : found->second.numel();
    if (points.back() < 2 || points.back() > 256) {
      throw Error(ExitCode::model, concat(path, " does not hold the 2 to 256 points of ",
                                          parameter->name, "; the file is damaged"));
    }
  }
  return points;
}

/// A run goes on with the input that it began with: student.init's file may have been replaced.
void require_same_input(const ModelFile& file, Student& student, const std::string& path) {
  if (of_sentences(student.network().spec())) return;
  const Json stored = file.about.value("normalization", Json());
  const Normalization began = normalization_from_json(stored, path, ExitCode::model);
  const Normalization& now = student.network().spec().normalization;
  if (began == now) return;
  throw Error(ExitCode::settings,
              concat(path, " was trained under ", to_text(began), ", now it is ", to_text(now),
                     "; resume with the settings and files that the run began with"));
}

void require_masters(const ModelFile& file, const std::string& path) {
  if (file.about.is_null()) {
    throw Error(ExitCode::model, concat(path,
                                        " holds weights of another program, no state of a "
                                        "quantizer; bitstill export and then --post-mortem "
                                        "quantize them"));
  }
  if (holds_quantized_values(file)) {
    throw Error(ExitCode::model,
                concat(path,
                       " is quantized already, and codes made from quantized values would lose "
                       "twice; give the run's folder, its master.safetensors or a checkpoint"));
  }
  const Json& about = file.about;
  if (about.contains("quantizer") && about["quantizer"].is_null()) {
    throw Error(ExitCode::model,
                concat(path,
                       " is of a run in full precision, which has no quantizer; --post-mortem "
                       "and quant.* settings quantize its weights"));
  }
  const auto is_number = [&](const char* name) {
    return about.contains(name) && about[name].is_number_integer();
  };
  const bool has_quantizer =
      about.contains("quantizer") && about["quantizer"].is_object() &&
      about["quantizer"].value("method", Json(QuantMethod::none)) != word(QuantMethod::none);
  if (!is_number("seed") || !is_number("steps") || !has_quantizer) {
    throw Error(ExitCode::model,
                concat(path,
                       " is no state that a run of this version stored with its quantizer, seed "
                       "and steps; --post-mortem quantizes fp32 weights"));
  }
}

}  // namespace

void describe_state(Json& about, const char* kind, const Student& student, int64_t steps) {
  about["steps"] = steps;
  about["quantizer"] = student.quantizer() ? student.quantizer()->describe() : Json();
  about["kind"] = kind;
}

ModelFile checkpoint_state(Json about, const Json& record, const Student& student,
                           const MasterOptimizer& optimizer,
                           const LearnedOptimizer& learned_optimizer, const WeightAverage& average,
                           const Schedule& schedule, const RunState& state) {
  describe_state(about, "checkpoint", student, state.step);
  about["progress"] = to_json(state);
  about["schedule"] = schedule.state();
  about["run"] = record;
  ModelFile file{std::move(about), student.state(), {}};
  file.attached = student.attached();
  for (auto& named : optimizer.state()) file.tensors.push_back(std::move(named));
  for (auto& named : learned_optimizer.state()) file.tensors.push_back(std::move(named));
  for (auto& named : average.state()) file.tensors.push_back(std::move(named));
  return file;
}

RunState load_checkpoint(const std::string& path, Student& student, MasterOptimizer& optimizer,
                         LearnedOptimizer& learned_optimizer, WeightAverage& average,
                         Schedule& schedule) {
  const ModelFile file = read_model_file(path);
  const RunState state = run_state_from_json(part_of(file.about, "progress"), path);
  try {
    schedule.restore(file.about.at("schedule"));
  } catch (const Json::exception&) {
    throw Error(ExitCode::model,
                concat(path, " holds no schedule of a run; start without --resume"));
  }
  require_same_input(file, student, path);
  student.load(model_tensors(file), path);
  average.restore(starting_with("average.", file), path);
  const NamedTensors tensors = starting_with("optimizer.", file);
  optimizer.restore(tensors, path);
  learned_optimizer.restore(tensors, path);
  return state;
}

CheckpointFacts checkpoint_facts(const std::string& path) {
  const TensorFile first(is_checkpoint(path) ? concat(path, '/', part_name(0)) : path);
  const Json& about = first.front().about;
  return {part_of(about, "run"), run_state_from_json(part_of(about, "progress"), path)};
}

void forget_run(Json& about) {
  for (const char* name : {"progress", "schedule", "run"}) about.erase(name);
}

ModelFile masters_state(Json about, const Student& student, int64_t steps) {
  describe_state(about, "weights", student, steps);
  ModelFile file{std::move(about), student.state(), {}};
  file.attached = student.attached();
  return file;
}

void save_masters(const std::string& path, const Json& about, const Student& student,
                  int64_t steps) {
  write_model_file(path, masters_state(about, student, steps));
}

void load_masters(const std::string& path, Student& student) {
  student.load(model_tensors(read_model_file(path)), path);
}

StoredStudent load_stored_student(const std::string& path) {
  const ModelFile file = read_model_file(path);
  require_masters(file, path);
  const QuantOptions options = quant_options_from_json(file.about["quantizer"], path);
  std::unique_ptr<Network> network = std::move(load_model(path).network);
  const std::vector<int64_t> points = stored_points(*network, options, file, path);
  StoredStudent stored{
      Student(std::move(network), options, file.about["seed"].get<uint64_t>(), at::kCPU, points),
      file.about};
  stored.student.attach(file.attached);
  stored.student.load(model_tensors(file), path);
  TrainOptions averaged;
  averaged.average = Average::ema;
  WeightAverage average(stored.student, averaged);
  average.restore(starting_with("average.", file), path);
  average.swap();
  forget_run(stored.about);
  return stored;
}

}  // namespace bitstill
