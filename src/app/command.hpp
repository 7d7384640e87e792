// The commands of the program: one file each.
#pragma once

#include <span>
#include <string>
#include <utility>
#include <vector>

#include "bitstill/base/json.hpp"
#include "bitstill/comm/world.hpp"
#include "bitstill/config/recipe.hpp"
#include "bitstill/config/setting_table.hpp"

namespace bitstill {

using Words = std::vector<std::string>;

// Each gets the job's ranks and its arguments, and returns the exit code; it throws AgreedError
// when every rank throws alike, Error when this rank alone failed.
int run_train(World& world, const Words& arguments);
int run_distill(World& world, const Words& arguments);
int run_cache(World& world, const Words& arguments);
int run_evaluate(World& world, const Words& arguments);
int run_predict(World& world, const Words& arguments);
int run_translate(World& world, const Words& arguments);
int run_compress(World& world, const Words& arguments);
int run_export(World& world, const Words& arguments);
int run_shard(World& world, const Words& arguments);
int run_inspect(World& world, const Words& arguments);
int run_report(World& world, const Words& arguments);
int run_study(World& world, const Words& arguments);
int run_scaling(World& world, const Words& arguments);
int run_bench(World& world, const Words& arguments);

struct Command {
  const char* name;
  const char* summary;
  int (*run)(World& world, const Words& arguments);
  /// Whether a signal stops it in good order (ExitCode::stopped) from its first moment on.
  bool stops = false;
  /// Whether all of its work has a Watchdog, up to which it counts as starting.
  bool watched = false;
};

constexpr char kExitCodes[] =
    "0 done, 2 settings, 3 data, 4 model file or a target missed, 5 a rank died\n"
    "or hangs, 6 numbers not finite, 7 storage, 8 environment, 75 stopped, resumable.";

/// `--man` and `--completion bash`, which the installation calls: prints the page on rank 0. False
/// for other words.
bool print_pages(World& world, const Words& words, std::span<const Command> commands);

/// Reads the arguments on every rank; all ranks throw the same error. With --help among them rank 0
/// prints `summary` and the table's settings (--help=man, --help=bash: their part of print_pages),
/// and the answer is false: there is nothing to do.
/// Collective: every rank of world calls this.
bool read_settings(World& world, SettingTable& table, const Words& arguments,
                   const std::string& summary);

/// Error(settings) when `path`, the value of `setting`, does not end in `ending` (in any case): a
/// name that promises another format than the one written. An empty path is none.
void require_ending(const std::string& setting, const std::string& path, const std::string& ending);

/// Versions of everything that takes part, for --version and the run log.
Json versions(const World& world);

/// The instructions by which this process computes, as LibTorch and oneDNN may use them: they
/// decide how sums are rounded.
std::string instruction_set();

/// From now on SIGTERM, SIGINT and SIGUSR1 set a flag, which stays. SIGTERM or SIGINT 2 s or more
/// after the first of them end the process at once (128 + signal). main calls it before MPI starts
/// where Command::stops.
void watch_signals();
bool stop_requested();
/// The same of any rank: a signal may have reached some only. Collective.
bool stop_requested_anywhere(Communicator& control);

}  // namespace bitstill
