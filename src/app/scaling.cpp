// bitstill scaling: how a job would scale over nodes.
#include "bitstill/config/scaling.hpp"

#include <cstdio>
#include <filesystem>

#include "bitstill/base/file.hpp"
#include "bitstill/base/log.hpp"
#include "bitstill/base/text.hpp"
#include "bitstill/base/timer.hpp"
#include "bitstill/bench/process.hpp"
#include "bitstill/comm/agree.hpp"
#include "command.hpp"

namespace bitstill {
namespace {

/// Built beside this program.
std::string simulator() {
  const std::string path = std::filesystem::path(own_path()).parent_path() / "scale_sim";
  if (std::filesystem::exists(path)) return path;
  throw Error(ExitCode::environment,
              concat("there is no ", path,
                     ": simulations need SimGrid (launch/setup.sh --tests, then build again)"));
}

Machine machine_of(const ScalingOptions& s, int64_t nodes) {
  return {s.topology, nodes, s.ranks, {1e-6 * s.latency_us, s.gbit * 1e9 / 8}};
}

/// One point, simulated; files that it was made from stay in the folder.
Json simulate(const ScalingOptions& s, const StepProfile& measured, int64_t nodes) {
  const Machine machine = machine_of(s, nodes);
  const StepProfile profile =
      settled_profile(measured, machine, s.algorithm, s.group, s.chunk_bytes);
  const std::string stem = concat(s.folder, "/simulated_", nodes);
  const std::string own_profile = stem + ".profile.json", platform = stem + ".platform.xml",
                    hosts = stem + ".hosts";
  replace_file(own_profile, to_json(profile).dump(1) + "\n");
  replace_file(platform, platform_xml(machine, s.fraction));
  replace_file(hosts, host_lines(machine, roles(profile)));
  const Simulation simulation{machine, s.algorithm, s.steps, s.fraction};
  const Words command =
      simulation_command(simulation, roles(profile), simulator(), platform, hosts, own_profile);
  const Timer timer;
  const std::vector<Json> lines = json_lines(run_program(command).output);
  if (lines.size() != 1) {
    throw Error(ExitCode::environment, concat("the simulation of ", nodes, " nodes said nothing"));
  }
  const StepTimes formula = step_times(profile, nodes * s.ranks, machine.link, s.algorithm);
  const double step_s = lines[0]["step_s"].get<double>();
  return {{"nodes", nodes},
          {"ranks", nodes * s.ranks},
          {"chunk_bytes", profile.chunk_bytes},
          {"step_s", step_s},
          {"compute_s", formula.compute_s},
          {"efficiency", formula.compute_s / step_s},
          {"formula",
           {{"step_s", formula.total_s()},
            {"exposed_exchange_s", formula.exposed_exchange_s},
            {"exposed_gather_s", formula.exposed_gather_s}}},
          {"sent", lines[0]["sent"]},
          {"simulation_s", timer.seconds()}};
}

void simulate_all(const ScalingOptions& s) {
  check(s);
  if (s.profile.empty()) {
    throw Error(ExitCode::settings,
                "scaling.profile is not given: bitstill bench step --profile writes one");
  }
  const StepProfile profile = read_profile(s.profile);
  simulator();
  make_folder(s.folder);
  std::string all;
  std::printf("%7s %7s %12s %12s %11s\n", "nodes", "ranks", "ms a step", "by formula",
              "efficiency");
  for (const int64_t nodes : s.nodes) {
    const Json point = simulate(s, profile, nodes);
    all += point.dump() + "\n";
    replace_file(s.folder + "/simulated.jsonl", all);
    std::printf("%7lld %7lld %12.3f %12.3f %9.2f %%\n", static_cast<long long>(nodes),
                static_cast<long long>(nodes * s.ranks), 1e3 * point["step_s"].get<double>(),
                1e3 * point["formula"]["step_s"].get<double>(),
                100 * point["efficiency"].get<double>());
    std::fflush(stdout);
  }
  std::printf(
      "simulated: left out are other jobs, slow ranks, copies to and from devices, NCCL's "
      "protocols\n"
      "%s/simulated.jsonl\n",
      s.folder.c_str());
}

}  // namespace

int run_scaling(World& world, const Words& arguments) {
  ScalingOptions options;
  SettingTable table;
  Words words = arguments;
  std::string recipe, verb;
  table.add("config", &recipe, "recipe with a section [scaling]");
  table.add_section("scaling", options);
  if (!words.empty() && !words[0].starts_with("--")) {
    if (words.size() > 1 && !words[1].starts_with("--")) {
      words.insert(words.begin(), "--config");
      verb = words[2];
      words.erase(words.begin() + 2);
    } else {
      verb = words[0];
      words.erase(words.begin());
    }
  }
  if (!read_settings(
          world, table, words,
          "bitstill scaling [RECIPE.cfg] simulate [--scaling.NAME VALUE ...]: a job's step "
          "on machines of other sizes.\n\nsimulate  walks the profile of a step, message "
          "by message, on a simulated machine (SimGrid)")) {
    return 0;
  }
  agree(world.control(), [&] {
    if (verb != "simulate") {
      throw Error(ExitCode::settings,
                  concat("bitstill scaling ", verb, ": give what to do: simulate"));
    }
    if (world.place().rank == 0) simulate_all(options);
  });
  return 0;
}

}  // namespace bitstill
