#include "bitstill/comm/world.hpp"

#include <unistd.h>

#include <atomic>
#include <cstdlib>

#include "bitstill/base/log.hpp"
#include "bitstill/base/text.hpp"
#include "bitstill/comm/agree.hpp"
#include "bitstill/comm/solo.hpp"
#include "mpi_world.hpp"

namespace bitstill {
namespace {

class SoloWorld final : public World {
 public:
  SoloWorld() {
    char name[256] = {};
    place_.host = gethostname(name, sizeof name - 1) == 0 ? name : "unknown host";
  }
  const Place& place() const override { return place_; }
  Communicator& control() override { return *control_; }
  bool threads_allowed() const override { return true; }
  std::string library() const override { return "none (one process)"; }
  [[noreturn]] void fatal(ExitCode code, const std::string& message) override {
    static std::atomic<bool> ending{false};
    if (ending.exchange(true)) {
      for (;;) pause();
    }
    print_error(message);
    _exit(static_cast<int>(code));
  }

 private:
  Place place_;
  std::unique_ptr<Communicator> control_ = make_solo_communicator(Traffic::control);
};

bool started_by_mpirun() {
  // The last one is that of SimGrid's smpirun (src/scale/sim).
  for (const char* name : {"OMPI_COMM_WORLD_SIZE", "PMIX_RANK", "PMI_RANK", "SMPI_GLOBAL_SIZE"}) {
    if (std::getenv(name)) return true;
  }
  return false;
}

int number_from(const char* variable, int otherwise) {
  const char* text = std::getenv(variable);
  return text != nullptr && *text != 0 ? std::atoi(text) : otherwise;
}

/// What the launcher says: Open MPI's mpirun, else Hydra (of MPICH and its kin), else srun.
int number_of_launcher(const char* open_mpi, const char* hydra, const char* slurm, int otherwise) {
  return number_from(open_mpi, number_from(hydra, number_from(slurm, otherwise)));
}

/// A launcher that this MPI does not know starts N processes, each of which takes itself for the
/// whole job and writes the same files. (A terminal: a shell for a person, srun --pty.)
void require_company(const World& world) {
  const int tasks =
      number_of_launcher("OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS", 1);
  if (world.place().world > 1 || tasks <= 1 || isatty(STDIN_FILENO) == 1) return;
  Place place;
  place.rank = number_of_launcher("OMPI_COMM_WORLD_RANK", "PMI_RANK", "SLURM_PROCID", 0);
  set_log_place(place);  // one of them speaks
  throw AgreedError(
      ExitCode::environment,
      concat(tasks, " processes were started, but MPI does not join them: bitstill is built with ",
             mpi_library(), ", start them by its mpirun, by launch/run.sh or by srun --mpi=pmix"));
}

std::unique_ptr<World> open_world() {
  if (!started_by_mpirun()) return std::make_unique<SoloWorld>();
  // A waiting communication thread would take half of a bound core.
  setenv("OMPI_MCA_mpi_yield_when_idle", "1", 0);
  return std::make_unique<MpiWorld>();
}

}  // namespace

std::unique_ptr<World> World::open() {
  std::unique_ptr<World> world = open_world();
  require_company(*world);
  return world;
}

std::unique_ptr<Channel> open_channel(World& world, Traffic kind, Overlap overlap) {
  return open_channel(world, world.control().duplicate(kind), overlap);
}

std::unique_ptr<Channel> open_channel(World& world, std::unique_ptr<Communicator> comm,
                                      Overlap overlap) {
  const bool threads = world.threads_allowed();
  if (overlap == Overlap::on && !threads) {
    throw Error(ExitCode::environment,
                concat("exchange.overlap = on needs MPI_THREAD_MULTIPLE, which ", world.library(),
                       " does not give; use auto or off"));
  }
  if (overlap == Overlap::automatic && !threads) {
    static std::atomic<bool> warned{false};
    if (!warned.exchange(true)) {
      warn(concat(world.library(),
                  " does not allow threads: gradients are exchanged after the "
                  "backward pass, not during it"));
    }
  }
  const bool lane =
      overlap == Overlap::on || (overlap == Overlap::automatic && threads && comm->world() > 1);
  return lane ? make_lane_channel(std::move(comm)) : make_inline_channel(std::move(comm));
}

}  // namespace bitstill
