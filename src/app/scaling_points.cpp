// bitstill scaling emit, run, collect: the points of a study, measured by jobs of their own.
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <regex>
#include <sstream>

#include "bitstill/base/file.hpp"
#include "bitstill/base/log.hpp"
#include "bitstill/base/text.hpp"
#include "bitstill/bench/process.hpp"
#include "bitstill/report/scaling.hpp"
#include "scaling.hpp"

namespace bitstill {
namespace {

std::string absolute(const std::string& path) {
  return std::filesystem::absolute(path).lexically_normal().string();
}

/// launch/run.sh of the checkout, or as it is installed beside this program.
std::string launcher() {
  const std::filesystem::path own = own_path();
  const std::filesystem::path installed = own.parent_path() / "bitstill-run";
  if (std::filesystem::exists(installed)) return installed;
  const std::string own_checkout = checkout_file("launch/run.sh");
  if (!own_checkout.empty()) return own_checkout;
  throw Error(ExitCode::environment,
              concat("neither ", installed.string(),
                     " nor launch/run.sh of a checkout is there: "
                     "install bitstill, or run the program of a checkout's build"));
}

Json plan_json(const ScalingOptions& s, const std::vector<ScalingPoint>& points,
               const ScaledJob& job) {
  Json plan = {{"skip_steps", s.skip_steps},
               {"steps", s.steps},
               {"command", job.command},
               {"recipe", job.recipe},
               {"points", Json::array()}};
  for (const ScalingPoint& point : points) {
    plan["points"].push_back({{"name", point.name()},
                              {"mode", point.mode},
                              {"nodes", point.nodes},
                              {"ranks", point.ranks},
                              {"batch", point.batch},
                              {"repeat", point.repeat}});
  }
  return plan;
}

std::string points_folder(const ScalingOptions& s) {
  return absolute(s.folder) + "/points";
}

std::string log_of(const ScalingOptions& s, const std::string& point) {
  return concat(points_folder(s), '/', point, "/run.jsonl");
}

/// Points that were measured belong to the plan that they were measured by.
void require_same_plan(const ScalingOptions& s, const Json& plan) {
  const std::string path = s.folder + "/plan.json";
  if (!std::filesystem::exists(path)) return;
  const Json before = parse_json(read_file(path, ExitCode::settings), path, ExitCode::settings);
  if (before == plan || !before.is_object()) return;
  for (const Json& point : before.value("points", Json::array())) {
    const std::string name = point.value("name", "");
    if (!std::filesystem::exists(log_of(s, name))) continue;
    throw Error(ExitCode::settings,
                concat(s.folder, " holds points of another plan or recipe (", name,
                       " has begun); give another scaling.folder, or remove that one"));
  }
}

bool has_ended(const ScalingOptions& s, const std::string& point) {
  if (!std::filesystem::exists(log_of(s, point))) return false;
  const Run run = read_run(concat(points_folder(s), '/', point));
  return !run.steps.empty() && run.steps.back().step >= static_cast<double>(s.skip_steps + s.steps);
}

/// The hosts of a hostfile, a line each; each has slots for a node's ranks.
std::vector<std::string> read_hosts(const ScalingOptions& s) {
  static const std::regex kSlots("(^|\\s)slots\\s*=\\s*([0-9]{1,9})");
  std::istringstream text(read_file(s.hostfile, ExitCode::settings));
  std::vector<std::string> hosts;
  for (std::string line; std::getline(text, line);) {
    line = line.substr(0, line.find('#'));
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    std::smatch found;
    const int64_t slots = std::regex_search(line, found, kSlots) ? std::stoll(found[2]) : 1;
    if (slots < s.ranks) {
      throw Error(ExitCode::settings, concat("scaling.ranks = ", s.ranks, ", but ", s.hostfile,
                                             " gives slots for ", slots, ": ", line));
    }
    hosts.push_back(line);
  }
  if (static_cast<int64_t>(hosts.size()) < s.nodes.back()) {
    throw Error(ExitCode::settings, concat("scaling.nodes has ", s.nodes.back(), ", but ",
                                           s.hostfile, " names ", hosts.size(), " hosts"));
  }
  return hosts;
}

/// What mpirun is told besides: each point gets the first hosts, so that node sets are nested.
std::vector<std::string> on_hosts(const ScalingOptions& s, const std::vector<std::string>& hosts,
                                  const ScalingPoint& point) {
  if (hosts.empty()) return {};
  const std::string path = concat(points_folder(s), '/', point.name(), ".hosts");
  std::string lines;
  for (int64_t i = 0; i < point.nodes; ++i) lines += hosts[static_cast<std::size_t>(i)] + "\n";
  replace_file(path, lines);
  const char* const given = std::getenv("BITSTILL_MPIRUN_ARGS");
  return {concat("BITSTILL_MPIRUN_ARGS=", given != nullptr ? given : "", " --hostfile ", path)};
}

/// A point's script ends as the job in it does, or else as bash has it.
ExitCode code_of(int exit_code) {
  const bool ours = (exit_code >= static_cast<int>(ExitCode::settings) &&
                     exit_code <= static_cast<int>(ExitCode::environment)) ||
                    exit_code == static_cast<int>(ExitCode::stopped);
  return ours ? static_cast<ExitCode>(exit_code) : ExitCode::environment;
}

}  // namespace

std::vector<ScalingPoint> emit_points(const ScalingOptions& s, const ScaledJob& job) {
  const bool sentences = of_sentences(job.config.model);
  const std::vector<ScalingPoint> points =
      plan_points(s, sentences ? job.config.train.global_tokens : job.config.train.global_batch);
  const Json plan = plan_json(s, points, job);
  require_same_plan(s, plan);
  make_folder(points_folder(s));
  const ScalingPlaces places = {
      own_path(),         launcher(),
      absolute(s.folder), std::filesystem::current_path(),
      word(job.command),  sentences ? "train.global_tokens" : "train.global_batch"};
  for (const ScalingPoint& point : points) {
    replace_file(concat(points_folder(s), '/', point.name(), ".sh"),
                 point_script(s, point, places));
  }
  replace_file(s.folder + "/recipe.cfg", job.recipe);
  replace_file(s.folder + "/submit.sh", submit_script(s, points));
  replace_file(s.folder + "/plan.json", plan.dump(1) + "\n");
  return points;
}

void run_points(const ScalingOptions& s, const ScaledJob& job) {
  const std::vector<std::string> hosts =
      s.hostfile.empty() ? std::vector<std::string>{} : read_hosts(s);
  if (hosts.empty() && s.nodes.back() > 1) {
    throw Error(ExitCode::settings,
                concat("scaling.nodes has ", s.nodes.back(),
                       ", but scaling.hostfile is not given: this host is one node; in a Slurm "
                       "cluster emit, then ",
                       s.folder, "/submit.sh"));
  }
  const std::vector<ScalingPoint> points = emit_points(s, job);
  std::size_t number = 0;
  for (const ScalingPoint& point : points) {
    const std::string progress = concat("[", ++number, "/", points.size(), "] ", point.name());
    if (has_ended(s, point.name())) {
      say(progress + " has ended");
      continue;
    }
    say(progress);
    try {
      run_program({"bash", concat(points_folder(s), '/', point.name(), ".sh")},
                  on_hosts(s, hosts, point));
    } catch (const ProgramFailed& error) {
      throw Error(code_of(error.exit_code()), concat(point.name(), ": ", error.what(),
                                                     "; the same command goes on with this point"));
    }
  }
}

void collect_points(const ScalingOptions& s, const std::string& page) {
  const ScalingStudy study = read_scaling(s.folder);
  std::printf("%s", scaling_table(study).c_str());
  for (const std::string& note : study.notes) warn(note);
  replace_file(s.folder + "/results.json", scaling_json(study).dump(1) + "\n");
  const std::string path = page.empty() ? s.folder + "/scaling.html" : page;
  replace_file(path, scaling_page(study));
  std::printf("%s\n", path.c_str());
  if (study.rows.empty()) {
    throw Error(ExitCode::data, concat(s.folder, ": no point counts yet"));
  }
}

}  // namespace bitstill
