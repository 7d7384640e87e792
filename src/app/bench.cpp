// bitstill bench ROW...: measures rows of figures on this machine and says whether targets are met.
#include "bitstill/bench/bench.hpp"

#include "bitstill/bench/sentences.hpp"
#include "bitstill/bench/step.hpp"
#include "bitstill/comm/agree.hpp"
#include "bitstill/data/sampler.hpp"
#include "bitstill/train/epoch_plan.hpp"
#include "bitstill/train/run_records.hpp"
#include "bitstill/train/step.hpp"
#include "command.hpp"
#include "device.hpp"
#include "model_on_data.hpp"
#include "sharded_teacher.hpp"

namespace bitstill {
namespace {

int run_bench_step(World& world, const Words& arguments) {
  BenchStepOptions options;
  SettingTable table;
  table.add_section("", options);
  table.add_section("teacher", options.layout);
  if (!read_settings(world, table, arguments, "bitstill bench step: times the training step")) {
    return 0;
  }
  agree(world.control(), [&] {
    check(options.layout);
    require_given(options.layout);
  });
  const DeviceChoice choice = choose_device(world, options.device, options.threads, false);
  RunConfig config;
  config.teacher_file = options.teacher_file;
  config.teacher_precision = options.teacher_precision;
  config.layout = options.layout;
  config.exchange.overlap = options.gathers;
  config.train.precision = options.precision;
  config.train.global_batch = options.batch * world.place().world;
  const auto make = [&](std::unique_ptr<Network> network, const Dataset& shards) {
    if (!network) return load_teacher(world, config, shards, choice.device);
    if (in_slices(world, config)) {
      return share_network(world, std::move(network), config, shards, choice.device);
    }
    std::unique_ptr<Teacher> teacher;
    agree(world.control(), [&] {
      teacher = make_teacher(std::move(network), options.teacher_precision,
                             use_bf16(options.precision, choice.device), shards);
    });
    return teacher;
  };
  bench_step(world, options, choice.device, make);
  return 0;
}

int run_bench_sentences(World& world, const Words& arguments) {
  BenchSentencesOptions options;
  SettingTable table;
  table.add_section("", options);
  if (!read_settings(world, table, arguments,
                     "bitstill bench sentences: times the training step of an LSTM")) {
    return 0;
  }
  choose_device(world, DeviceWish::cpu, options.threads, false);
  agree(world.control(), [&] { bench_sentences(world, options); });
  return 0;
}

/// What a job does with shards up to its first batch (V5).
int run_bench_start(World& world, const Words& arguments) {
  RunConfig config;
  SettingTable table;
  table.add("folder", &config.data_folder, "of shards");
  if (!read_settings(world, table, arguments, "bitstill bench start: the first batch of shards")) {
    return 0;
  }
  const int rank = world.place().rank;
  const auto shards = open_dataset(world, config.data_folder);
  agree(world.control(), [&] {
    settle_images(&config, shards.get());
    const int64_t rows = shards->size(Split::train);
    const EpochPlan plan(epoch_order(rows, 1, 0), 2 * world.place().world, 0, world.place().world);
    const auto decoder = make_training_decoder(shards->index(), config.augmentation, 1, 1);
    Prefetcher prefetcher(*shards, Split::train, rank_batches(plan, rank, false, 0), *decoder, 1);
    Batch batch;
    prefetcher.next(&batch);
  });
  double memory_mb = peak_memory_mb();
  world.control().all_reduce(&memory_mb, 1, ElementType::f64, Reduction::max);
  if (rank == 0) std::printf("%s\n", Json{{"memory_mb", memory_mb}}.dump().c_str());
  return 0;
}

std::string summary() {
  return "bitstill bench ROW...: measures rows on this machine; exit code 4 when a target is "
         "missed\n\n" +
         bench_rows() +
         "\nPeers are found through BITSTILL_PEERS (the folder of ddp_distill.py, ...) and "
         "BITSTILL_PEER_PYTHON (a Python with PyTorch); without them their parts are skipped.\n"
         "BITSTILL_DATA (the folder of multi30k_en-de.tar.xz) gives rows T real sentences.\n"
         "mpirun -n 2 bitstill bench step --help: the step alone; bench sentences --help: that of "
         "sentences.";
}

}  // namespace

int run_bench(World& world, const Words& arguments) {
  if (!arguments.empty() && arguments[0] == "step") {
    return run_bench_step(world, Words(arguments.begin() + 1, arguments.end()));
  }
  if (!arguments.empty() && arguments[0] == "sentences") {
    return run_bench_sentences(world, Words(arguments.begin() + 1, arguments.end()));
  }
  if (!arguments.empty() && arguments[0] == "start") {
    return run_bench_start(world, Words(arguments.begin() + 1, arguments.end()));
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
