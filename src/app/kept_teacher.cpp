#include "kept_teacher.hpp"

#include <algorithm>
#include <iterator>

#include "bitstill/base/log.hpp"
#include "bitstill/base/text.hpp"
#include "sharded_teacher.hpp"

namespace bitstill {
namespace {

constexpr const char* kOthers[] = {"train.precision",     "train.global_batch", "train.micro_batch",
                                   "train.global_tokens", "train.micro_tokens", "exchange.overlap",
                                   "run.threads"};

bool matters(const std::string& setting) {
  return setting.starts_with("teacher.") ||
         std::find(std::begin(kOthers), std::end(kOthers), setting) != std::end(kOthers);
}

}  // namespace

Teacher& KeptTeacher::get(World& world, const RunConfig& config, const NamedValues& settings,
                          const std::string& file, const Dataset& dataset,
                          const at::Device& device) {
  std::string hangs_on = concat(file, "\n", dataset.index().fingerprint, "\n", device);
  for (const auto& [name, value] : settings) {
    if (matters(name)) hangs_on += concat("\n", name, " = ", value);
  }
  const bool kept = teacher_ && hangs_on == hangs_on_;
  if (!kept) {
    teacher_.reset();  // before the new one takes its memory
    teacher_ = load_teacher(world, config, dataset, device);
    hangs_on_ = hangs_on;
  }
  if (!config.dry_run) {
    say(concat(kept ? "teacher, kept from the run before: " : "teacher: ", layout_text(*teacher_)));
  }
  return *teacher_;
}

}  // namespace bitstill
