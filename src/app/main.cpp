// bitstill COMMAND [--section.key value ...]
#include <c10/util/Logging.h>
#include <malloc.h>

#include <csignal>
#include <cstdio>
#include <exception>
#include <memory>
#include <string_view>

#include "bitstill/base/log.hpp"
#include "bitstill/base/output.hpp"
#include "bitstill/base/text.hpp"
#include "bitstill/base/version.hpp"
#include "bitstill/comm/agree.hpp"
#include "command.hpp"
#include "life_sign.hpp"

namespace bitstill {
namespace {

// name, summary, run, stops, watched
constexpr Command kCommands[] = {
    {"shard", "turn images or pairs of sentences into HDF5 shards", run_shard},
    {"train", "train a network with cross-entropy, quantized if asked", run_train, true, true},
    {"distill", "train a quantized student from a teacher", run_distill, true, true},
    {"cache", "keep a teacher's answers in files, for any number of students", run_cache, false,
     true},
    {"evaluate", "measure a model file on a split of the shards", run_evaluate},
    {"predict", "name what images show, by a model file", run_predict},
    {"translate", "translate lines of text, by a model file of sentences", run_translate},
    {"compress", "make a run's student.safetensors again, or quantize weights after the fact",
     run_compress},
    {"export", "write any model file as fp32 safetensors for PyTorch", run_export},
    {"inspect", "show what a shard folder or a model file holds", run_inspect},
    {"report", "one HTML page and a table from run folders, or from a study", run_report},
    {"study", "a grid of methods, bits and seeds under equal rules; sweeps", run_study, true},
    {"scaling", "how a job would scale over nodes, simulated", run_scaling},
    {"bench", "measure this machine against the targets", run_bench},
};

void print_usage() {
  std::printf(
      "bitstill: compress neural networks by distillation and quantization\n\n"
      "  mpirun -n N bitstill COMMAND [--config recipe.cfg] [--section.key value ...]\n\n");
  for (const Command& command : kCommands)
    std::printf("  %-10s %s\n", command.name, command.summary);
  std::printf(
      "\nbitstill COMMAND --help lists its settings; bitstill --version its libraries.\n"
      "Exit codes: %s\n",
      kExitCodes);
}

const Command& find_command(const std::string& name) {
  std::vector<std::string> names;
  for (const Command& command : kCommands) {
    if (name == command.name) return command;
    names.emplace_back(command.name);
  }
  const std::string nearest = nearest_name(name, names);
  throw AgreedError(ExitCode::settings, concat("unknown command ", name, "; ",
                                               nearest.empty() ? "see bitstill --help"
                                                               : "did you mean " + nearest + "?"));
}

int run(World& world, int argc, char** argv) {
  const Words words(argv + 1, argv + argc);
  const bool speaks = world.place().rank == 0;
  require_equal(world.control(), {{"the command", words.empty() ? "(none)" : words[0]}},
                ExitCode::settings);
  if (words.empty() || words[0] == "--help" || words[0] == "help") {
    if (speaks) print_usage();
    return words.empty() ? static_cast<int>(ExitCode::settings) : 0;
  }
  if (words[0] == "--version") {
    if (speaks) std::printf("%s\n", versions(world).dump(2).c_str());
    return 0;
  }
  if (print_pages(world, words, kCommands)) return 0;
  return find_command(words[0]).run(world, Words(words.begin() + 1, words.end()));
}

/// The command of these words, which may be wrong; main prepares the process for it.
Command first_look(int argc, char** argv) {
  for (const Command& command : kCommands) {
    if (argc > 1 && argv[1] == std::string_view(command.name)) return command;
  }
  return {};
}

/// Every step allocates what the one before freed. By default the C library gives large blocks back
/// to the system each time and takes page faults to get them again: 2,368 a step of student3.
void keep_memory() {
  mallopt(M_MMAP_THRESHOLD, 1 << 25);  // the greatest it takes
  mallopt(M_TRIM_THRESHOLD, 1 << 30);
}

/// The exit code; Errors that every rank knows of are printed here, others end the job.
int run_job(std::unique_ptr<World>& world, int argc, char** argv, bool watched) {
  ExitCode code = ExitCode::environment;
  std::string message;
  try {
    world = World::open();
    set_log_place(world->place());
    if (!watched) life_sign::note_running();
    const int done = run(*world, argc, argv);
    if (done == static_cast<int>(ExitCode::stopped)) life_sign::note_stop_done();
    return done;
  } catch (const AgreedError& error) {
    if (log_place().rank == 0) print_error(error.what());
    return static_cast<int>(error.code());
  } catch (const Error& error) {
    code = error.code();
    message = error.what();
  } catch (const std::exception& error) {
    message = error.what();
  }
  if (world) world->fatal(code, message);
  print_error(message);
  return static_cast<int>(code);
}

/// The job's code, unless it is that all went well and what was printed is lost.
int with_output(int code) {
  try {
    flush_output();
  } catch (const Error& error) {
    print_error(error.what());
    if (code == 0) return static_cast<int>(error.code());
  }
  return code;
}

}  // namespace
}  // namespace bitstill

int main(int argc, char** argv) {
  using namespace bitstill;
  occupy_standard_streams();
  c10::SetStackTraceFetcher([] { return std::string(); });  // one line an error
  keep_memory();
  std::signal(SIGXFSZ, SIG_IGN);  // a file-size limit is an Error(storage)
  const Command command = first_look(argc, argv);
  if (command.stops) watch_signals();  // a signal while MPI starts is remembered
  life_sign::start();
  std::unique_ptr<World> world;
  return with_output(run_job(world, argc, argv, command.watched));
}
