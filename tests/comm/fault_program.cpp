// A training loop without training, and one fault in it: fault_program FAULT RANK [TIMEOUT_S
// [FAN_OUT]].
// RANK does FAULT at step 17 of 40 (agreed and circle: all do); tests/failure/comm_faults.sh looks
// at how the job ends.
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <functional>
#include <map>
#include <memory>
#include <thread>
#include <vector>

#include "bitstill/base/log.hpp"
#include "bitstill/comm/agree.hpp"
#include "bitstill/comm/watchdog.hpp"
#include "bitstill/comm/world.hpp"

namespace bitstill {
namespace {

constexpr int64_t kSteps = 40, kFaultyStep = 17;

void sleep_s(double seconds) {
  std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
}

/// For the script, which counts the seconds from here.
void print_moment() {
  std::printf("fault at %lld\n", static_cast<long long>(std::time(nullptr)));
  std::fflush(stdout);
}

/// One rank's part of a step: phases in order, two pieces of the teacher gathered, two chunks
/// summed while the next phase runs.
class Loop {
 public:
  Loop(World& world, double timeout_s, int fan_out)
      : world_(world),
        watchdog_(world, timeout_s, fan_out),
        gathers_(open_channel(world, Traffic::gathers, Overlap::automatic)),
        channel_(open_channel(world, Traffic::gradients, Overlap::automatic)),
        chunks_(2, std::vector<float>(50021)) {}

  void run(const std::map<Phase, std::function<void()>>& faults) {
    for (int64_t step = 0; step < kSteps; ++step) {
      std::vector<EventPtr> events;
      for (const Phase phase : {Phase::data, Phase::teacher, Phase::gather, Phase::forward,
                                Phase::backward, Phase::exchange}) {
        watchdog_.progress(phase, step);
        const auto fault = faults.find(phase);
        if (step == kFaultyStep && fault != faults.end()) {
          print_moment();
          fault->second();
        }
        if (phase == Phase::teacher) {
          gather();
          gather();
        }
        if (phase == Phase::gather) {
          for (const EventPtr& event : gathered_) gathers_->wait(event);
          gathered_.clear();
        }
        if (phase != Phase::exchange) sleep_s(0.002);
        if (phase == Phase::backward) {
          for (auto& chunk : chunks_) {
            events.push_back(
                channel_->all_reduce(chunk.data(), static_cast<int64_t>(chunk.size()), nullptr));
          }
        }
      }
      for (const EventPtr& event : events) channel_->wait(event);
      watchdog_.progress(Phase::update, step);
    }
  }
  void wait_elsewhere() { world_.control().barrier(); }
  /// Every rank waits for a message of its neighbour, and none sends.
  void wait_in_circle() {
    const Place& place = world_.place();
    float value = 0;
    world_.control().receive(&value, 1, ElementType::f32, (place.rank + 1) % place.world);
  }
  /// Works alone for `seconds`, reporting; then waits for the others to end.
  void work_alone(double seconds) {
    for (double passed = 0; passed < seconds; passed += 0.05) {
      watchdog_.progress(Phase::validate, kSteps);
      sleep_s(0.05);
    }
  }
  void stop() { watchdog_.stop(); }

 private:
  void gather() {
    constexpr int64_t kSlice = 10007;
    const auto all = std::make_shared<std::vector<uint8_t>>(kSlice * (world_.place().world + 1));
    gathered_.push_back(
        gathers_->all_gather(all->data(), all->data() + kSlice, kSlice, nullptr, all));
  }

  World& world_;
  Watchdog watchdog_;
  std::unique_ptr<Channel> gathers_, channel_;
  std::vector<EventPtr> gathered_;
  std::vector<std::vector<float>> chunks_;
};

[[noreturn]] void hang() {
  for (;;) sleep_s(1);
}

[[noreturn]] void spin() {
  for (volatile bool on = true; on;) {
  }
  std::abort();
}

int run(World& world, const std::string& fault, int rank, double timeout_s, int fan_out) {
  const bool here = world.place().rank == rank;
  Loop loop(world, timeout_s, fan_out);
  std::map<Phase, std::function<void()>> faults;
  if (here && fault == "throw") {
    faults[Phase::forward] = [] { throw Error(ExitCode::data, "planted failure"); };
  }
  if (here && fault == "throw_late") {  // with chunks under way
    faults[Phase::exchange] = [] { throw Error(ExitCode::numbers, "planted failure"); };
  }
  if (here && fault == "fatal_thread") {
    faults[Phase::data] = [&] {
      std::thread([&] { world.fatal(ExitCode::storage, "planted failure"); }).join();
    };
  }
  if (here && fault == "kill") faults[Phase::backward] = [] { raise(SIGKILL); };
  if (here && fault == "stop") faults[Phase::backward] = [] { raise(SIGSTOP); };
  if (here && fault == "kill_waiting") faults[Phase::exchange] = [] { raise(SIGKILL); };
  const auto stop_once_told = [&] {  // the others know by then where this rank is
    sleep_s(timeout_s / 2);
    raise(SIGSTOP);
  };
  if (here && fault == "stop_waiting") faults[Phase::exchange] = stop_once_told;
  if (here && fault == "kill_gathering") faults[Phase::gather] = [] { raise(SIGKILL); };
  if (here && fault == "stop_gathering") faults[Phase::gather] = stop_once_told;
  if (here && fault == "hang_asking") faults[Phase::teacher] = hang;
  if (here && fault == "elsewhere_gathering") {
    faults[Phase::gather] = [&] { loop.wait_elsewhere(); };
  }
  if (here && fault == "hang") faults[Phase::data] = hang;
  if (here && fault == "spin") faults[Phase::forward] = spin;
  if (here && fault == "elsewhere") faults[Phase::exchange] = [&] { loop.wait_elsewhere(); };
  if (fault == "circle") faults[Phase::exchange] = [&] { loop.wait_in_circle(); };
  if (fault == "agreed") {
    faults[Phase::data] = [&] {
      agree(world.control(), [&] {
        if (here) throw Error(ExitCode::storage, "planted failure");
      });
    };
  }
  try {
    loop.run(faults);
  } catch (const AgreedError&) {
    throw;
  } catch (const Error& error) {  // while the gradients live: other ranks may be reading them
    world.fatal(error.code(), error.what());
  }
  if (fault == "uneven") loop.work_alone(here ? 0 : 2.5 * timeout_s);
  if (here && fault == "stop_at_end") {
    print_moment();
    raise(SIGSTOP);
  }
  loop.stop();
  if (world.place().rank == 0) std::printf("all steps done\n");
  return 0;
}

}  // namespace
}  // namespace bitstill

int main(int argc, char** argv) {
  using namespace bitstill;
  if (argc < 3) return 2;
  const auto world = World::open();
  set_log_place(world->place());
  try {
    return run(*world, argv[1], std::atoi(argv[2]), argc > 3 ? std::atof(argv[3]) : 5,
               argc > 4 ? std::atoi(argv[4]) : Watchdog::kFanOut);
  } catch (const AgreedError& error) {
    if (world->place().rank == 0) print_error(error.what());
    return static_cast<int>(error.code());
  } catch (const Error& error) {
    world->fatal(error.code(), error.what());
  }
}
