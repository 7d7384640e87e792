#include "bitstill/config/study.hpp"

#include <algorithm>
#include <charconv>
#include <sstream>

#include "bitstill/base/error.hpp"
#include "bitstill/base/text.hpp"

namespace bitstill {
namespace {

using Settings = std::vector<std::pair<std::string, std::string>>;

constexpr const char* kStartArm = "fp32_distilled";
constexpr const char* kLongerArm = "fp32_longer";
constexpr std::size_t kMostRuns = 2000;            // each is compared with those before it
constexpr int64_t kMostEpochs = int64_t{1} << 40;  // keeps sums in range

/// Whether so many runs are some that a study can have.
void require_runs(std::size_t runs) {
  if (runs <= kMostRuns) return;
  throw Error(ExitCode::settings, concat("the study has more than ", kMostRuns,
                                         " runs; give fewer of study.seeds, study.bits, study.arms "
                                         "or study.sweep"));
}

std::vector<std::string> split(const std::string& text, const char* separators) {
  std::vector<std::string> parts;
  for (std::size_t at = 0; (at = text.find_first_not_of(separators, at)) != std::string::npos;) {
    const std::size_t end = std::min(text.find_first_of(separators, at), text.size());
    parts.push_back(text.substr(at, end - at));
    at = end;
  }
  return parts;
}

const Arm& find_arm(const std::string& name) {
  std::vector<std::string> known;
  for (const Arm& arm : study_arms()) {
    if (name == arm.name) return arm;
    known.emplace_back(arm.name);
  }
  const std::string nearest = nearest_name(name, known);
  throw Error(ExitCode::settings, concat("study.arms has no arm ", name, "; ",
                                         nearest.empty() ? "give some of " + list_names(known, 20)
                                                         : "did you mean " + nearest + "?"));
}

std::vector<const Arm*> chosen_arms(const StudyOptions& options) {
  std::vector<const Arm*> arms;
  for (const std::string& name : comma_list(options.arms)) {
    const Arm* arm = &find_arm(name);
    if (arm->sequences && options.sequence_folder.empty()) {
      throw Error(ExitCode::settings,
                  concat("the arm ", name, " learns from the teacher's translations: give ",
                         "study.sequence_folder (bitstill translate --shards writes them)"));
    }
    if (std::find(arms.begin(), arms.end(), arm) != arms.end()) {
      throw Error(ExitCode::settings, concat("study.arms names ", name, " twice"));
    }
    arms.push_back(arm);
  }
  if (arms.empty() && !options.sweep.empty()) return {&find_arm("qd")};
  for (const Arm& arm : study_arms()) {
    if (options.arms.empty() && (!arm.sequences || !options.sequence_folder.empty())) {
      arms.push_back(&arm);
    }
  }
  return arms;
}

/// One combination of a sweep's values; the grid's own is the only one of no sweep.
struct SweepPoint {
  std::string name;   // part of the folder's name: "_temperature2_soft_weight0.7"
  std::string title;  // "temperature 2, soft_weight 0.7"
  int64_t order = 0;  // among the points of an arm
  Settings settings;
};

std::string sweep_value(const std::string& axis, const std::string& text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) {
    throw Error(ExitCode::settings, concat("study.sweep: ", axis, ":", text, ": give a number"));
  }
  return concat(value);
}

/// "temperature:1,2,4 soft_weight:.5,.7": all combinations.
std::vector<SweepPoint> sweep_points(const std::string& sweep) {
  std::vector<SweepPoint> points(1);
  std::vector<std::string> seen;
  for (const std::string& word : split(sweep, " ")) {
    const std::string axis = word.substr(0, word.find(':'));
    const auto values = split(word.substr(std::min(axis.size() + 1, word.size())), ",");
    if ((axis != "temperature" && axis != "soft_weight") || values.empty() ||
        std::find(seen.begin(), seen.end(), axis) != seen.end()) {
      throw Error(ExitCode::settings, concat("study.sweep: \"", word,
                                             "\" is not understood; give for example "
                                             "temperature:1,2,4 soft_weight:.5,.7,.9"));
    }
    seen.push_back(axis);
    require_runs(points.size() * values.size());
    std::vector<SweepPoint> next;
    for (const SweepPoint& point : points) {
      for (const std::string& text : values) {
        const std::string value = sweep_value(axis, text);
        next.push_back({concat(point.name, "_", axis, value),
                        concat(point.title, point.title.empty() ? "" : ", ", axis, " ", value), 0,
                        point.settings});
        next.back().settings.emplace_back("distill." + axis, value);
      }
    }
    points = std::move(next);
  }
  for (std::size_t i = 0; i < points.size(); ++i) points[i].order = static_cast<int64_t>(i);
  return points;
}

class Plan {
 public:
  Plan(const StudyOptions& options, std::size_t points)
      : options_(options), points_(static_cast<int64_t>(points)) {}

  /// The run and, before it, what it begins with; a run that is there already is not added again.
  std::string add(const Arm& arm, int64_t bits, int64_t seed, const SweepPoint& point) {
    StudyRun run;
    run.name = concat(arm.name, bits > 0 ? concat("_", bits, "bit") : "", point.name, "_s", seed);
    run.arm = &arm;
    run.bits = bits;
    run.seed = seed;
    run.order = (&arm - study_arms().data()) * points_ + point.order;
    run.point = point.title;
    const auto same = [&](const StudyRun& other) { return other.name == run.name; };
    if (std::any_of(runs.begin(), runs.end(), same)) return run.name;
    std::string init = "random";
    if (arm.origin != Origin::random) {
      const Arm& origin = find_arm(arm.origin == Origin::start ? kStartArm : kLongerArm);
      init = concat(options_.folder, "/", add(origin, 0, seed, {}), "/master.safetensors");
    }
    for (const auto& [name, value] : arm.settings) run.settings.emplace_back(name, value);
    if (bits > 0) run.settings.emplace_back("quant.bits", concat(bits));
    if (arm.sequences) run.settings.emplace_back("data.folder", options_.sequence_folder);
    run.settings.insert(run.settings.end(), point.settings.begin(), point.settings.end());
    run.settings.emplace_back("student.init", init);
    run.settings.emplace_back("train.epochs", concat(epochs(arm.length)));
    run.settings.emplace_back("run.seed", concat(seed));
    run.settings.emplace_back("run.folder", concat(options_.folder, "/", run.name));
    runs.push_back(run);
    return run.name;
  }

  std::vector<StudyRun> runs;

 private:
  int64_t epochs(Length length) const {
    switch (length) {
      case Length::none:
        return 0;
      case Length::start:
        return options_.start_epochs;
      case Length::arm:
        return options_.epochs;
      case Length::whole:
        break;
    }
    return options_.start_epochs + options_.epochs;
  }

  const StudyOptions& options_;
  int64_t points_;  // of the sweep, for each arm and number of bits
};

void check(const StudyOptions& o) {
  const auto require = [](bool good, const std::string& message) {
    if (!good) throw Error(ExitCode::settings, message);
  };
  require(!o.folder.empty(), "study.folder is empty: name a folder for the study's runs");
  require(!o.seeds.empty(), "study.seeds is empty: give for example 1,2,3,4,5");
  require(o.start_epochs >= 1 && o.start_epochs <= kMostEpochs,
          concat("study.start_epochs = ", o.start_epochs, ": give 1 or more"));
  require(o.epochs >= 1 && o.epochs <= kMostEpochs,
          concat("study.epochs = ", o.epochs, ": give 1 or more"));
  require(o.pm_gap >= 0, concat("study.pm_gap = ", o.pm_gap, ": give 0 or more points"));
  require(comma_list(o.source).size() == comma_list(o.reference).size(),
          concat("study.source = ", o.source, " and study.reference = ", o.reference,
                 ": give as many files of both"));
  require(o.beam >= 1, concat("study.beam = ", o.beam, ": give 1 or more"));
  for (const int64_t bits : o.bits) {
    require(bits >= 1 && bits <= 8, concat("study.bits = ", bits, ": give 1..8"));
  }
}

}  // namespace

const std::vector<Arm>& study_arms() {
  using enum Origin;
  static const std::vector<Arm> kArms = {
      {"fp32_ce",
       "fp32 CE",
       "full precision, cross-entropy alone",
       false,
       false,
       random,
       Length::start,
       {{"quant.method", "none"}}},
      {kStartArm,
       "fp32 distilled",
       "full precision, distilled: what the others begin with",
       true,
       false,
       random,
       Length::start,
       {{"quant.method", "none"}}},
      {kLongerArm,
       "fp32 distilled, longer",
       "the same, trained on as long as the arms below",
       true,
       false,
       start,
       Length::arm,
       {{"quant.method", "none"}}},
      {"qd",
       "QD",
       "quantized distillation (Algorithm 1)",
       true,
       true,
       start,
       Length::arm,
       {{"quant.method", "uniform"}}},
      {"joint",
       "joint",
       "weights and points learned together",
       true,
       true,
       start,
       Length::arm,
       {{"quant.method", "joint"}}},
      {"lsq",
       "LSQ",
       "learned step size",
       true,
       true,
       start,
       Length::arm,
       {{"quant.method", "lsq"}}},
      {"quantized_ce",
       "quantized CE",
       "QD's quantizer, cross-entropy alone",
       false,
       true,
       start,
       Length::arm,
       {{"quant.method", "uniform"}}},
      {"pm",
       "PM",
       "post-mortem: fp32_longer quantized, one bucket a tensor",
       true,
       true,
       longer,
       Length::none,
       {{"quant.method", "uniform"}, {"quant.bucket", "0"}}},
      {"pm_bucket",
       "PM + bucket",
       "the same in the recipe's buckets",
       true,
       true,
       longer,
       Length::none,
       {{"quant.method", "uniform"}}},
      {"pm_range",
       "PM + range",
       "the same with the range of least error",
       true,
       true,
       longer,
       Length::none,
       {{"quant.method", "uniform"}, {"quant.range", "error"}}},
      {"kmeans",
       "k-means",
       "codes from k-means and fixed, points trained (Han et al.)",
       true,
       true,
       start,
       Length::arm,
       {{"quant.method", "kmeans"}}},
      {"dq",
       "DQ",
       "differentiable quantization (Algorithm 2): points alone",
       true,
       true,
       start,
       Length::arm,
       {{"quant.method", "points"}}},
      {"qd_random",
       "QD from random",
       "QD from random weights, as the paper",
       true,
       true,
       random,
       Length::whole,
       {{"quant.method", "uniform"}}},
      {"seq_fp32",
       "fp32 on sequences",
       "full precision, cross-entropy on the teacher's translations",
       false,
       false,
       start,
       Length::arm,
       {{"quant.method", "none"}},
       true},
      {"seq_qd",
       "QD on sequences",
       "QD's quantizer, cross-entropy on the teacher's translations",
       false,
       true,
       start,
       Length::arm,
       {{"quant.method", "uniform"}},
       true},
  };
  return kArms;
}

std::string arms_help() {
  std::string text = "Arms (study.arms), each the recipe with these settings replaced:\n";
  for (const Arm& arm : study_arms()) {
    std::string line = concat("  ", arm.name);
    line.resize(std::max<std::size_t>(line.size() + 1, 18), ' ');
    text += line + arm.summary + ";";
    for (const auto& [name, value] : arm.settings) text += concat(" ", name, " = ", value);
    text += "\n";
  }
  return text;
}

std::vector<std::string> comma_list(const std::string& text) {
  return split(text, ", ");
}

std::vector<StudyRun> plan_study(const StudyOptions& options) {
  check(options);
  const std::vector<const Arm*> arms = chosen_arms(options);
  const std::vector<SweepPoint> points = sweep_points(options.sweep);
  require_runs(options.seeds.size());
  require_runs(options.bits.size());
  require_runs(arms.size() * options.seeds.size() * std::max<std::size_t>(1, options.bits.size()) *
               points.size());
  Plan plan(options, points.size());
  for (const int64_t seed : options.seeds) {
    for (const Arm* arm : arms) {
      if (!options.sweep.empty() && (!arm->distills || arm->length == Length::none)) {
        throw Error(ExitCode::settings,
                    concat("study.sweep: the arm ", arm->name, " does not learn from a teacher"));
      }
      for (const int64_t bits : arm->quantized ? options.bits : std::vector<int64_t>{0}) {
        for (const SweepPoint& point : points) plan.add(*arm, bits, seed, point);
      }
    }
  }
  return plan.runs;
}

}  // namespace bitstill
