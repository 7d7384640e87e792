// bitstill scaling simulate: a step on machines of other sizes.
#include <cstdio>

#include "bitstill/base/file.hpp"
#include "bitstill/bench/simulate.hpp"
#include "bitstill/report/scaling.hpp"
#include "scaling.hpp"

namespace bitstill {

void simulate_points(const ScalingOptions& s) {
  if (s.profile.empty()) {
    throw Error(ExitCode::settings,
                "scaling.profile is not given: bitstill bench step --profile writes one");
  }
  const StepProfile measured = read_profile(s.profile);
  simulator();
  make_folder(s.folder);
  std::string all;
  std::printf("%7s %7s %12s %12s %11s\n", "nodes", "ranks", "ms a step", "by formula",
              "efficiency");
  for (const int64_t nodes : s.nodes) {
    const Machine machine = {s.topology, nodes, s.ranks, {1e-6 * s.latency_us, s.gbit * 1e9 / 8}};
    const StepProfile profile =
        settled_profile(measured, machine, s.algorithm, s.group, s.chunk_bytes);
    const Json point =
        simulate({machine, s.algorithm, s.simulated_steps, s.fraction}, profile, s.folder);
    all += point.dump() + "\n";
    replace_file(s.folder + "/simulated.jsonl", all);
    std::printf("%7lld %7lld %12.3f %12.3f %9.2f %%\n", static_cast<long long>(nodes),
                static_cast<long long>(nodes * s.ranks), 1e3 * point["step_s"].get<double>(),
                1e3 * point["formula"]["step_s"].get<double>(),
                100 * point["efficiency"].get<double>());
    std::fflush(stdout);
  }
  std::printf("%s\n%s/simulated.jsonl\n", simulation_limits().c_str(), s.folder.c_str());
}

}  // namespace bitstill
