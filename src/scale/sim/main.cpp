// scale_sim PROFILE STEPS FRACTION: walks steps of the profile on simulated machines (smpirun, see
// scale/simulation.hpp, which makes the command). Prints one line of JSON.
//
// A worker of the job is some ranks in a row on one host: its main thread, its lane of gradients
// and, where teachers lie in slices, its lane of gathers.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <simgrid/s4u.hpp>
#include <utility>

#include "bitstill/base/log.hpp"
#include "bitstill/base/text.hpp"
#include "bitstill/comm/world.hpp"
#include "bitstill/scale/simulation.hpp"
#include "bitstill/scale/walk.hpp"
#include "scaled_communicator.hpp"
#include "sim_channel.hpp"

namespace bitstill {
namespace {

constexpr int kMain = 0, kGradients = 1, kGathers = 2;
constexpr int kWarmup = 2;  // steps: until each worker's gathers are as far ahead as they get

class SimClock final : public StepClock {
 public:
  /// Nobody else's: each worker has an accelerator of its own.
  void compute(double seconds) override {
    if (seconds > 0) simgrid::s4u::this_actor::sleep_for(seconds);
  }
};

/// Of all simulated ranks, which are one process.
struct Shared {
  std::map<std::pair<int, int>, std::shared_ptr<SimLane>> lanes;  // by worker and role
  std::unique_ptr<WalkMemory> memory;
};
Shared shared;

std::shared_ptr<SimLane> lane_of(int worker, int role) {
  const std::pair key(worker, role);
  if (!shared.lanes.contains(key)) {
    // Other ranks run while it is made, the lane's other end among them.
    const auto made = std::make_shared<SimLane>();
    shared.lanes.emplace(key, made);
  }
  return shared.lanes.at(key);
}

/// Among ranks of the same role; for gathers among those that share a teacher.
std::unique_ptr<Communicator> role_communicator(World& world, const StepProfile& profile,
                                                int worker, int role, int64_t fraction) {
  int color = role;
  if (role == kGathers) color += worker / static_cast<int>(profile.group);
  constexpr Traffic kKinds[] = {Traffic::control, Traffic::gradients, Traffic::gathers};
  const bool whole = fraction == 1 || role == kMain;
  auto comm = world.control().split(color, worker, whole ? kKinds[role] : Traffic::control);
  if (whole) return comm;
  return std::make_unique<ScaledCommunicator>(std::move(comm), kKinds[role], fraction);
}

/// A worker's channels: its lanes, or, without overlap, those of its only thread.
struct Channels {
  std::unique_ptr<Channel> gradients, gathers;
};

Channels channels_of(World& world, const StepProfile& profile, int worker, int64_t fraction) {
  const auto channel = [&](int role) -> std::unique_ptr<Channel> {
    if (profile.overlap) return std::make_unique<SimChannel>(lane_of(worker, role));
    return make_inline_channel(role_communicator(world, profile, worker, role, fraction));
  };
  Channels channels{channel(kGradients), nullptr};
  if (profile.group > 1) channels.gathers = channel(kGathers);
  return channels;
}

void work(const StepProfile& profile, Communicator& mains, Channels channels, int64_t steps) {
  const int worker = mains.rank(), workers = mains.world();
  if (!shared.memory) shared.memory = std::make_unique<WalkMemory>(profile, workers);
  SimClock clock;
  StepWalk walk(profile, worker, workers, *channels.gradients, channels.gathers.get(), clock,
                *shared.memory);
  for (int i = 0; i < kWarmup; ++i) walk.step();
  mains.barrier();
  const TrafficCounts before = traffic_counts();
  const double begun_s = simgrid::s4u::Engine::get_clock();
  for (int64_t i = 0; i < steps; ++i) walk.step();
  double slowest_s = simgrid::s4u::Engine::get_clock() - begun_s;
  mains.all_reduce(&slowest_s, 1, ElementType::f64, Reduction::max);
  const TrafficCounts after = traffic_counts();
  walk.settle();
  if (worker != 0) return;
  Json sent;  // by all workers, a step
  for (const Traffic kind : {Traffic::gradients, Traffic::gathers}) {
    const auto k = static_cast<std::size_t>(kind);
    sent[traffic_name(kind)] = {{"bytes", (after[k].bytes - before[k].bytes) / steps},
                                {"messages", (after[k].messages - before[k].messages) / steps}};
  }
  const Json line = {
      {"workers", workers}, {"step_s", slowest_s / static_cast<double>(steps)}, {"sent", sent}};
  std::printf("%s\n", line.dump().c_str());
  std::fflush(stdout);
}

int run(int argc, char** argv) {
  if (argc != 4) {
    std::fprintf(stderr, "scale_sim PROFILE STEPS FRACTION, started by bitstill scaling\n");
    return static_cast<int>(ExitCode::settings);
  }
  try {
    const StepProfile profile = read_profile(argv[1]);
    const int64_t steps = std::max(1L, std::atol(argv[2]));
    const int64_t fraction = std::max(1L, std::atol(argv[3]));
    const auto world = World::open();
    const int each = roles(profile), rank = world->place().rank;
    const int worker = rank / each, role = rank % each;
    const auto comm = role_communicator(*world, profile, worker, role, fraction);
    if (role == kMain) {
      work(profile, *comm, channels_of(*world, profile, worker, fraction), steps);
    } else {
      lane_of(worker, role)->serve(*comm);
    }
  } catch (const Error& error) {
    print_error(error.what());
    return static_cast<int>(error.code());
  }
  return 0;
}

}  // namespace
}  // namespace bitstill

int main(int argc, char** argv) {
  return bitstill::run(argc, argv);
}
