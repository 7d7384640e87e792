// What a job tells of itself: the record that its checkpoints keep, the log's first line, the
// recipe beside it, the result's line.
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "bitstill/base/file.hpp"
#include "bitstill/base/launch.hpp"
#include "bitstill/base/text.hpp"
#include "bitstill/config/recipe.hpp"
#include "job.hpp"
#include "model_on_data.hpp"
#include "teacher_cache.hpp"

namespace bitstill {
namespace {

/// Which start of launch/run.sh --restarts this is; null: the first.
Json restart_facts() {
  const int64_t number = own_launch().generation;
  if (number == 0) return nullptr;
  const char* const lost = std::getenv("BITSTILL_HOSTS_LOST");
  return {{"number", number}, {"hosts_lost", lost != nullptr ? lost : ""}};
}

}  // namespace

RunRecord Job::record() const {
  RunRecord record;
  record.command = distill_ ? "distill" : "train";
  record.settings = settings_;
  record.data = dataset_->index().fingerprint;
  record.teacher = teacher_sha256_;
  record.teacher_samples = teacher_samples_;
  record.student_init = init_sha256_;
  record.precision = use_bf16(config_.train.precision, device_.device) ? "bf16" : "fp32";
  if (teacher_ != nullptr) {
    const TeacherTraits& traits = teacher_->traits();
    record.teacher_precision = precision_name(traits.precision);
    const CachedFacts cache = traits.cache.value_or(CachedFacts{});
    record.soft_targets = kept_text(cache.top, cache.temperature);
  }
  record.device = device_.device.is_cuda() ? "cuda" : "cpu";
  record.processor = instruction_set();
  record.world = world_.place().world;
  return record;
}

Json Job::start_line() const {
  const Network& network = student_->network();
  Json line = {{"type", "start"}, {"time", utc_now()}};
  line.update(to_json(record()));
  if (!study_.is_null()) line["study"] = study_;
  const Json restart = restart_facts();
  if (!restart.is_null()) line["restart"] = restart;
  if (distill_) line["teacher_bytes"] = teacher_bytes_;
  const Json facts = {{"versions", versions(world_)},
                      {"host", world_.place().host},
                      {"hosts", hosts_},
                      {"cpu_model", cpu_model()},
                      {"threads", device_.threads},
                      {"device", device_.name},
                      {"network", to_json(network.spec())},
                      {"normalization", to_json(network.spec().normalization)},
                      {"parameters", network.parameter_count()},
                      {"fp32_bytes", 4 * (network.parameter_count() + student_->running().numel())},
                      {"formula_bits", formula_bits(config_.quant, student_->segments(),
                                                    student_->running().numel())}};
  line.update(facts);
  if (teacher_ != nullptr) line["teacher"] = describe_teacher(*teacher_);
  return line;
}

void Job::print_result(const RunResult& result) const {
  if (world_.place().rank != 0) return;
  std::printf("%s/student.safetensors: test %s, %s, %.0f s\n", config_.run.folder.c_str(),
              (vocabularies_ ? perplexity_text(result.test) : accuracy_text(result.test)).c_str(),
              human_bytes(static_cast<double>(std::filesystem::file_size(config_.run.folder +
                                                                         "/student.safetensors")))
                  .c_str(),
              timer_.seconds());
}

RunLog Job::open_log() const {
  replace_file(config_.run.folder + "/recipe.cfg", recipe_text(settings_));
  RunLog log(config_.run.folder + "/run.jsonl", folder_.keeps_log);
  if (config_.run.tensorboard) log.mirror(config_.run.folder + "/tensorboard");
  Json line = start_line();
  for (const Difference& one : changes_) line["changed"][one.name] = {one.before, one.now};
  log.write(line);
  if (folder_.keeps_log && folder_.checkpoint.empty()) {
    log.write({{"type", "resumed"}, {"epoch", 0}, {"step", 0}});
  }
  return log;
}

}  // namespace bitstill
