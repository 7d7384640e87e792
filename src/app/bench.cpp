// bitstill bench ROW...: measures rows of figures on this machine and says whether targets are met.
#include "bitstill/bench/bench.hpp"

#include "bitstill/bench/step.hpp"
#include "bitstill/comm/agree.hpp"
#include "command.hpp"
#include "device.hpp"
#include "model_on_data.hpp"

namespace bitstill {
namespace {

int run_bench_step(World& world, const Words& arguments) {
  BenchStepOptions options;
  SettingTable table;
  table.add_section("", options);
  if (!read_settings(world, table, arguments, "bitstill bench step: times the training step")) {
    return 0;
  }
  const DeviceChoice choice = choose_device(world, options.device, options.threads, false);
  bench_step(world, options, choice.device, make_teacher);
  return 0;
}

std::string summary() {
  return "bitstill bench ROW...: measures rows on this machine; exit code 4 when a target is "
         "missed\n\n" +
         bench_rows() +
         "\nPeers are found through BITSTILL_PEERS (the folder of ddp_distill.py) and "
         "BITSTILL_PEER_PYTHON (a Python with PyTorch); without them their parts are skipped.\n"
         "mpirun -n 2 bitstill bench step --help: the step alone.";
}

}  // namespace

int run_bench(World& world, const Words& arguments) {
  if (!arguments.empty() && arguments[0] == "step") {
    return run_bench_step(world, Words(arguments.begin() + 1, arguments.end()));
  }
  if (!arguments.empty() && arguments[0] == "bare") return 0;  // start and end of MPI alone (P16)
  BenchOptions options;
  Words rows;
  bool json = false;
  SettingTable table;
  table.take_words(&rows, "ROW...                      P1 P3 ...");
  table.add("json", &json, "one JSON line a row");
  table.add_section("", options);
  if (!read_settings(world, table, arguments, summary())) return 0;
  agree(world.control(), [&] {
    check(options, rows);
    if (world.place().world > 1) {
      throw Error(ExitCode::settings, "bench starts its own ranks: run it without mpirun");
    }
  });
  return measure_rows(rows, options, versions(world), json) ? 0 : static_cast<int>(ExitCode::model);
}

}  // namespace bitstill
