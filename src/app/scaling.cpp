// bitstill scaling: how a job scales over nodes, measured and simulated.
#include "scaling.hpp"

#include <cstdio>

#include "bitstill/base/error.hpp"
#include "bitstill/base/text.hpp"
#include "bitstill/comm/agree.hpp"
#include "command.hpp"

namespace bitstill {
namespace {

enum class Verb { emit, run, collect, simulate };

}  // namespace

template <>
struct WordsOf<Verb> {
  using enum Verb;
  static constexpr Word<Verb> kTable[] = {
      {emit, "emit"}, {run, "run"}, {collect, "collect"}, {simulate, "simulate"}};
};

int run_scaling(World& world, const Words& arguments) {
  ScalingOptions options;
  ScaledJob job;
  std::string page;
  Words words, rest = arguments;
  SettingTable table;
  table.take_words(&words, "[RECIPE.cfg] emit|run|collect|simulate");
  table.add_section("scaling", options);
  table.add("command", &job.command, "what is measured");
  table.add("html", &page, "collect: the page; empty: scaling.html in scaling.folder");
  add_settings(table, job.config);
  if (rest.size() > 1 && !rest[0].starts_with("--") && !rest[1].starts_with("--")) {
    rest.insert(rest.begin(), "--config");
  }
  if (!read_settings(
          world, table, rest,
          "bitstill scaling [RECIPE.cfg] emit|run|collect|simulate [--section.key value ...]: how "
          "a job scales over nodes.\nThe recipe is a job's, with a section [scaling].\n\n"
          "emit      writes a script for each point (nodes x weak, strong x repeat), for sbatch or "
          "bash,\n          and submit.sh for all\n"
          "run       starts the scripts here, one after the other, on the hosts of "
          "scaling.hostfile;\n          the same command goes on\n"
          "collect   reads the points' logs: a table, results.json and a page; points of another "
          "recipe,\n          build or processor, or too short, are left out by name\n"
          "simulate  walks the profile of a step, message by message, on simulated machines "
          "(SimGrid)")) {
    return 0;
  }
  agree(world.control(), [&] {
    if (words.size() != 1) {
      throw Error(ExitCode::settings, "bitstill scaling: give one of emit, run, collect, simulate");
    }
    const Verb verb = from_word<Verb>(words[0], "bitstill scaling");
    check(options);
    require_ending("html", page, ".html");
    if (world.place().world > 1) {
      throw Error(ExitCode::settings, "scaling starts its own jobs: run it without mpirun");
    }
    if (verb == Verb::emit || verb == Verb::run) {
      check(job.config);
      SettingTable own;
      add_settings(own, job.config);
      job.recipe = recipe_text(own.values());
    }
    switch (verb) {
      case Verb::emit:
        std::printf("%zu scripts: %s/submit.sh\n", emit_points(options, job).size(),
                    options.folder.c_str());
        break;
      case Verb::run:
        run_points(options, job);
        break;
      case Verb::collect:
        collect_points(options, page);
        break;
      case Verb::simulate:
        simulate_points(options);
        break;
    }
  });
  return 0;
}

}  // namespace bitstill
