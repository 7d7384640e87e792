#include <sstream>

#include "bitstill/base/text.hpp"
#include "bitstill/config/scaling.hpp"

namespace bitstill {
namespace {

/// As one word for a shell.
std::string quoted(const std::string& word) {
  std::string text = "'";
  for (const char c : word) text += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return text + "'";
}

/// The step after which a point has ended, as it stands in its log.
std::string last_step(const ScalingOptions& s) {
  return concat("\"step\":", s.skip_steps + s.steps, ",");
}

}  // namespace

std::string point_script(const ScalingOptions& s, const ScalingPoint& point,
                         const ScalingPlaces& places) {
  const std::string name = point.name(), run = concat(places.folder, "/points/", name);
  std::string text =
      concat("#!/usr/bin/env bash\n# ", word(point.mode), " scaling, ", point.nodes, " nodes of ",
             s.ranks, " ranks, repeat ", point.repeat, " of ", s.repeats,
             ": sbatch or bash starts it; what was interrupted goes on.\n#SBATCH --job-name=", name,
             "\n#SBATCH --nodes=", point.nodes, "\n#SBATCH --ntasks-per-node=", s.ranks,
             "\n#SBATCH --cpus-per-task=", s.threads,
             "\n#SBATCH --signal=B:USR1@60\n#SBATCH --requeue\n#SBATCH --open-mode=append\n"
             "#SBATCH --output=",
             run, ".out\n");
  std::istringstream more(s.sbatch);
  for (std::string word; more >> word;) text += concat("#SBATCH ", word, "\n");
  text += concat("set -euo pipefail\ncd ", quoted(places.start), "\n");
  if (s.launcher == ScalingLauncher::run) {
    text += concat("exec ", quoted(places.launcher), " -n ", point.ranks, " --threads ", s.threads);
  } else {
    text += concat("exec srun --mpi=pmix --ntasks ", point.ranks);
  }
  return text +
         concat(" ", quoted(places.program), " ", places.command, " --config ",
                quoted(places.folder + "/recipe.cfg"), " \\\n  --run.folder ", quoted(run), " --",
                places.batch, " ", point.batch, " --run.threads ", s.threads, " --run.stop_steps ",
                s.skip_steps + s.steps,
                " --run.log_steps 1 --run.save_minutes 0 --run.save_steps 0 --resume=auto\n");
}

std::string submit_script(const ScalingOptions& s, const std::vector<ScalingPoint>& points) {
  std::string text = concat(
      "#!/usr/bin/env bash\n# Hands the points to sbatch, in an order drawn by scaling.seed = ",
      s.seed,
      "; those that have ended are left out.\nset -euo pipefail\n"
      "cd \"$(dirname \"${BASH_SOURCE[0]}\")/points\"\nfor point in");
  for (const ScalingPoint& point : points) text += concat(" \\\n  ", point.name());
  return text + concat("; do\n  grep -qs '", last_step(s),
                       "' \"$point/run.jsonl\" || sbatch \"$point.sh\"\ndone\n");
}

}  // namespace bitstill
