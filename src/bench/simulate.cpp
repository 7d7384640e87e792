#include "bitstill/bench/simulate.hpp"

#include <filesystem>

#include "bitstill/base/file.hpp"
#include "bitstill/base/text.hpp"
#include "bitstill/bench/process.hpp"

namespace bitstill {

std::string simulator() {
  const std::string path = std::filesystem::path(own_path()).parent_path() / "scale_sim";
  if (std::filesystem::exists(path)) return path;
  throw Error(ExitCode::environment,
              concat("there is no ", path,
                     ": simulations need SimGrid (launch/setup.sh --tests, then build again)"));
}

Json simulate(const Simulation& simulation, const StepProfile& profile, const std::string& folder) {
  const Machine& machine = simulation.machine;
  const int64_t nodes = machine.nodes, ranks = nodes * machine.ranks_a_node;
  const std::string stem = concat(folder, "/simulated_", nodes);
  const std::string own_profile = stem + ".profile.json", platform = stem + ".platform.xml",
                    hosts = stem + ".hosts";
  replace_file(own_profile, to_json(profile).dump(1) + "\n");
  replace_file(platform, platform_xml(machine, simulation.fraction));
  replace_file(hosts, host_lines(machine, roles(profile)));
  const Finished ended = run_program(
      simulation_command(simulation, roles(profile), simulator(), platform, hosts, own_profile));
  const std::vector<Json> lines = json_lines(ended.output);
  if (lines.size() != 1) {
    throw Error(ExitCode::environment, concat("the simulation of ", nodes, " nodes said nothing"));
  }
  const StepTimes formula = step_times(profile, ranks, machine.link, simulation.algorithm);
  const double step_s = lines[0]["step_s"].get<double>();
  return {{"nodes", nodes},
          {"ranks", ranks},
          {"chunk_bytes", profile.chunk_bytes},
          {"step_s", step_s},
          {"compute_s", formula.compute_s},
          {"efficiency", formula.compute_s / step_s},
          {"formula",
           {{"step_s", formula.total_s()},
            {"exposed_exchange_s", formula.exposed_exchange_s},
            {"exposed_gather_s", formula.exposed_gather_s}}},
          {"sent", lines[0]["sent"]},
          {"simulation_s", ended.seconds},
          {"simulation_memory_mb", ended.memory_mb}};
}

}  // namespace bitstill
