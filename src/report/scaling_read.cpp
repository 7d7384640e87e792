#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>

#include "bitstill/base/error.hpp"
#include "bitstill/base/file.hpp"
#include "bitstill/base/median.hpp"
#include "bitstill/base/text.hpp"
#include "bitstill/report/scaling.hpp"

namespace bitstill {
namespace {

constexpr uint64_t kMostBytes = 256 << 20;

/// A point of the plan and what its log says.
struct Member {
  std::string name, mode;
  int64_t nodes = 0, ranks = 0, batch = 0;
  Run run;
  std::vector<StepRecord> steps;  // that count
};

/// What all points have to have in common, each with the name it has in a refusal.
using Traits = std::vector<std::pair<std::string, std::string>>;

/// Which differ from point to point, or come from measuring.
bool varies(const std::string& setting) {
  static const char* const kNames[] = {"run.folder",
                                       "train.global_batch",
                                       "train.global_tokens",
                                       "exchange.chunk_bytes",
                                       "exchange.codec",
                                       "config",
                                       "resume",
                                       "overwrite"};
  return std::find(std::begin(kNames), std::end(kNames), setting) != std::end(kNames);
}

Traits traits_of(const Run& run) {
  Traits traits = {{"the command", run.command},
                   {"the processor", run.cpu_model},
                   {"the data's fingerprint", run.data}};
  for (const auto& [name, value] : run.versions) traits.emplace_back("version of " + name, value);
  for (const auto& [name, value] : run.settings) {
    if (!varies(name)) traits.emplace_back(name, value);
  }
  return traits;
}

/// "train.rate is 0.2, of the other points 0.1"; empty: they are the same.
std::string difference(const Traits& mine, const Traits& others) {
  for (const auto& [name, value] : others) {
    const std::string own = value_named(mine, name);
    if (own != value) return concat(name, " is ", own, ", of the other points ", value);
  }
  for (const auto& [name, value] : mine) {
    if (value_named(others, name) != value) return concat(name, " is ", value, ", here alone");
  }
  return "";
}

/// Those that count, by the plan.
std::vector<StepRecord> counted(const Run& run, double skip_steps) {
  std::vector<StepRecord> steps;
  for (const StepRecord& step : run.steps) {
    if (step.step - step.steps >= skip_steps && step.seconds > 0) steps.push_back(step);
  }
  return steps;
}

double number_of(const std::vector<StepRecord>& steps) {
  double number = 0;
  for (const StepRecord& step : steps) number += step.steps;
  return number;
}

/// Why a point does not count by itself; empty: it does.
std::string obstacle(const Member& member, double steps) {
  const Run& run = member.run;
  if (run.world != static_cast<double>(member.ranks)) {
    return concat("ran on ", run.world, " ranks, not ", member.ranks);
  }
  if (!(run.hosts >= static_cast<double>(member.nodes))) {
    return concat("ran on ", run.hosts, run.hosts == 1 ? " host" : " hosts", ", not on ",
                  member.nodes, " nodes");
  }
  const double held = number_of(member.steps);
  if (held < steps) return concat("has ", held, " steps that count, not ", steps);
  return "";
}

double sum_of(const NamedNumbers& numbers) {
  double sum = 0;
  for (const auto& [name, value] : numbers) sum += value;
  return sum;
}

template <class Value>
double median_of(const Member& member, const Value& value) {
  std::vector<double> values;
  for (const StepRecord& step : member.steps) values.push_back(value(step));
  return median(values);
}

template <class Value>
Spread spread(const std::vector<const Member*>& members, const Value& value) {
  std::vector<double> values;
  for (const Member* member : members) values.push_back(median_of(*member, value));
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  return {median(values), *low, *high};
}

/// What is counted of a step, a second.
double rate(const StepRecord& step) {
  return std::isnan(step.images_per_s) ? step.tokens_per_s : step.images_per_s;
}

ScalingRow row_of(const std::vector<const Member*>& members) {
  const Member& first = *members.front();
  ScalingRow row;
  row.mode = first.mode;
  row.nodes = first.nodes;
  row.ranks = first.ranks;
  row.batch = first.batch;
  row.repeats = static_cast<int64_t>(members.size());
  row.images_per_s = spread(members, rate);
  row.step_ms = spread(members, [](const StepRecord& s) { return 1000 * s.seconds / s.steps; });
  row.exchange_ms =
      spread(members, [](const StepRecord& s) { return value_named(s.ms, "exchange"); });
  row.gather_ms = spread(members, [](const StepRecord& s) { return value_named(s.ms, "gather"); });
  row.megabytes = spread(members, [](const StepRecord& s) { return 1e-6 * sum_of(s.bytes); });
  row.memory_mb = spread(members, [](const StepRecord& s) { return s.memory_mb; });
  return row;
}

/// Against the fewest nodes of the same mode.
void add_efficiency(std::vector<ScalingRow>& rows) {
  const ScalingRow* first = nullptr;
  for (ScalingRow& row : rows) {
    if (first == nullptr || first->mode != row.mode) first = &row;
    const auto share = [&](double images_per_s) {  // of the first itself: 100 to the last bit
      return 100 * (images_per_s / first->images_per_s.median) *
             (static_cast<double>(first->nodes) / static_cast<double>(row.nodes));
    };
    const Spread& rates = row.images_per_s;
    row.efficiency = {share(rates.median), share(rates.low), share(rates.high)};
  }
}

std::vector<SimulatedRow> read_simulated(const std::string& path) {
  std::vector<SimulatedRow> rows;
  if (!std::filesystem::exists(path)) return rows;
  const std::string text = read_file(path, ExitCode::data, kMostBytes);
  for (std::size_t begin = 0, end = 0; begin < text.size(); begin = end + 1) {
    end = std::min(text.find('\n', begin), text.size());
    const Json line = parse_json(text.substr(begin, end - begin), path, ExitCode::data);
    const double compute_s = line["compute_s"].get<double>();
    const double step_s = line["step_s"].get<double>();
    const double formula_s = line["formula"]["step_s"].get<double>();
    rows.push_back({line["nodes"].get<int64_t>(), line["ranks"].get<int64_t>(), 1000 * step_s,
                    100 * compute_s / step_s, 1000 * formula_s, 100 * compute_s / formula_s});
  }
  return rows;
}

/// The plan's points that have a log, in its order.
std::vector<Member> read_members(const Json& plan, const std::string& folder,
                                 std::vector<std::string>& notes) {
  std::vector<Member> members;
  std::vector<std::string> missing;
  for (const Json& point : plan.at("points")) {
    Member member;
    member.name = point.at("name").get<std::string>();
    member.mode = point.at("mode").get<std::string>();
    member.nodes = point.at("nodes").get<int64_t>();
    member.ranks = point.at("ranks").get<int64_t>();
    member.batch = point.at("batch").get<int64_t>();
    const std::string run = concat(folder, "/points/", member.name);
    if (!std::filesystem::exists(run + "/run.jsonl")) {
      missing.push_back(member.name);
      continue;
    }
    try {
      member.run = read_run(run);
    } catch (const Error& error) {
      notes.push_back(concat(member.name, ": ", error.what()));
      continue;
    }
    member.steps = counted(member.run, plan.at("skip_steps").get<double>());
    const std::string why = obstacle(member, plan.at("steps").get<double>());
    if (why.empty()) {
      members.push_back(std::move(member));
    } else {
      notes.push_back(concat(member.name, ": ", why));
    }
  }
  if (!missing.empty()) {
    notes.push_back(list_names(missing) +
                    (missing.size() == 1 ? ": has not run" : ": have not run"));
  }
  return members;
}

/// Those that are each other's copies, and those unlike the most.
void refuse(std::vector<Member>& members, std::vector<std::string>& notes) {
  std::map<std::string, std::string> first;  // by what no two runs share
  std::erase_if(members, [&](const Member& member) {
    const std::string own =
        concat(value_named(member.run.settings, "run.folder"), member.run.started);
    const auto [other, is_new] = first.emplace(own, member.name);
    if (!is_new) notes.push_back(concat(member.name, ": is a copy of ", other->second));
    return !is_new;
  });
  std::map<Traits, int> votes;
  for (const Member& member : members) ++votes[traits_of(member.run)];
  const auto most = std::max_element(
      votes.begin(), votes.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
  std::erase_if(members, [&](const Member& member) {
    const std::string why = difference(traits_of(member.run), most->first);
    if (!why.empty()) notes.push_back(concat(member.name, ": ", why));
    return !why.empty();
  });
}

}  // namespace

ScalingStudy read_scaling(const std::string& folder) {
  const std::string path = folder + "/plan.json";
  const Json plan = parse_json(read_file(path, ExitCode::data, kMostBytes), path, ExitCode::data);
  ScalingStudy study;
  study.folder = folder;
  study.name = own_name(folder);
  try {
    std::vector<Member> members = read_members(plan, folder, study.notes);
    refuse(members, study.notes);
    std::map<std::pair<bool, int64_t>, std::vector<const Member*>> points;  // weak first
    for (const Member& member : members) {
      points[{member.mode != "weak", member.nodes}].push_back(&member);
    }
    for (const auto& [key, repeats] : points) study.rows.push_back(row_of(repeats));
    add_efficiency(study.rows);
    const bool images = std::none_of(members.begin(), members.end(), [](const Member& member) {
      return std::isnan(member.steps.front().images_per_s);
    });
    if (!images) study.unit = "target tokens";
    study.simulated = read_simulated(folder + "/simulated.jsonl");
  } catch (const Json::exception&) {
    throw Error(ExitCode::data,
                concat(folder, ": plan.json or simulated.jsonl is not of bitstill scaling"));
  }
  return study;
}

}  // namespace bitstill
