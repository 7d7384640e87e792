#include "bitstill/bench/step.hpp"

#include <algorithm>
#include <cstdio>

#include "bitstill/base/file.hpp"
#include "bitstill/base/random.hpp"
#include "bitstill/base/text.hpp"
#include "bitstill/bench/process.hpp"
#include "bitstill/comm/agree.hpp"
#include "bitstill/data/shard_writer.hpp"
#include "bitstill/teacher/gathered.hpp"
#include "bitstill/train/run_records.hpp"
#include "random_cache.hpp"
#include "rows.hpp"
#include "step_arm.hpp"
#include "temporary_folder.hpp"

namespace bitstill {
namespace {

constexpr int64_t kStepsAnEpoch = 8;
constexpr double kTimeout_s = 600;

/// A folder of shards with random images, this rank's own, so that reading is part of the step.
class RandomShards {
 public:
  RandomShards(int64_t rows, int64_t side) {
    const ImageShape shape{3, side, side};
    ShardWriter writer({folder_.path(), shape, kStepClasses, {rows, 0, 0}, 0});
    RandomStream stream(kStepSeed, StreamPurpose::initialization);
    std::vector<uint8_t> pixels(static_cast<std::size_t>(shape.pixels()));
    for (int64_t row = 0; row < rows; ++row) {
      std::generate(pixels.begin(), pixels.end(),
                    [&] { return static_cast<uint8_t>(stream.next()); });
      writer.add(Split::train, pixels.data(), row % kStepClasses);
    }
    ShardIndex description;
    description.summary.name = "random";
    description.summary.split_rule = "random images, all in train";
    for (int64_t label = 0; label < kStepClasses; ++label) {
      description.summary.classes.push_back(std::to_string(label));
    }
    description.source = description.licence = "random numbers";
    writer.finish(description);
  }
  const std::string& path() const { return folder_.path(); }

 private:
  TemporaryFolder folder_;
};

/// For a profile: a teacher in slices whose pieces' times and last window will be known.
void require_measured(const Teacher& teacher, const BenchStepOptions& s) {
  if (!teacher.traits().slices) return;
  if (teacher.traits().slices->measured.empty()) {
    throw Error(ExitCode::settings,
                "profile: a teacher in slices is measured piece by piece where its gathers "
                "overlap; give --teacher.overlap auto");
  }
  if (s.layout.window == 0 && s.warmup < kSweepsToWindow) {
    throw Error(ExitCode::settings,
                concat("profile: a teacher's window grows until ", kSweepsToWindow,
                       " sweeps are over; give --warmup ", kSweepsToWindow, " or more"));
  }
}

std::unique_ptr<Network> teacher_network(const BenchStepOptions& s, const Dataset& dataset) {
  auto network = initialized(spec_of(s.teacher, dataset));
  if (s.emulate == 0) return network;
  const auto layers = emulated_layers(*network, kForwardShare * s.emulate, 0);
  return emulate(std::move(network), layers);
}

void measure(World& world, const BenchStepOptions& s, std::vector<std::unique_ptr<StepArm>>& arms) {
  for (auto& arm : arms) {
    arm->run(s.warmup);
    arm->before = arm->step().seconds();
    if (!s.profile.empty()) arm->begin_profile();
    arm->exchange().take_busy_seconds();
    arm->take_gather_seconds();
  }
  for (int64_t round = 0; round < s.rounds; ++round) {
    for (auto& arm : arms) {
      world.control().barrier();
      const double cpu = cpu_seconds();
      const TrafficCounts before = traffic_counts();
      const std::vector<double> ms = arm->run(s.steps);
      const TrafficCounts sent = traffic_since(before);
      for (std::size_t kind = 0; kind < kTrafficKinds; ++kind) {
        arm->traffic[kind].bytes += sent[kind].bytes;
        arm->traffic[kind].messages += sent[kind].messages;
      }
      arm->cpu_s += cpu_seconds() - cpu;
      arm->busy_s += arm->exchange().take_busy_seconds();
      const GatherSeconds gathers = arm->take_gather_seconds();
      arm->gather.busy += gathers.busy;
      arm->gather.exposed += gathers.exposed;
      arm->round_ms.push_back(median(ms));
      arm->step_ms.insert(arm->step_ms.end(), ms.begin(), ms.end());
    }
  }
}

}  // namespace

bool has_bf16() {
  return use_bf16(TrainPrecision::automatic, at::kCPU);
}

void bench_step(World& world, const BenchStepOptions& s, const at::Device& device,
                const TeacherMaker& make_teacher) {
  Watchdog watchdog(world, kTimeout_s);
  std::unique_ptr<RandomShards> shards;
  std::unique_ptr<Dataset> dataset;
  std::unique_ptr<Network> network;
  std::unique_ptr<Teacher> cached;
  agree(world.control(), [&] {
    if (s.batch < 1 || s.size < 1 || s.steps < 1 || s.rounds < 1 || s.warmup < 0 ||
        !(s.emulate >= 0)) {
      throw Error(ExitCode::settings,
                  "batch, size, steps and rounds are 1 or more, warmup and emulate 0 or more");
    }
    ExchangeOptions exchange;
    exchange.chunk_bytes = s.chunk_bytes;
    check(exchange);
    if (!s.profile.empty() && (device.is_cuda() || s.codec != Codec::none)) {
      throw Error(ExitCode::settings, "profile: of steps on the CPU, without a codec");
    }
    if (!s.profile.empty() && s.overlap == Overlap::off && world.place().world > 1) {
      throw Error(ExitCode::settings,
                  "profile: without overlap a unit's pass has its sums in it; give --overlap auto");
    }
    if (device.is_cuda() && s.codec != Codec::none) {
      throw Error(ExitCode::settings, "codecs run on the CPU: give --device cpu, or --codec none");
    }
    shards = std::make_unique<RandomShards>(kStepsAnEpoch * s.batch * world.place().world, s.size);
    dataset = std::make_unique<Dataset>(shards->path());
    if (!s.teacher_file.empty()) return;
    if (s.teacher != "none" && !in_emulated_slices(world, s))
      network = teacher_network(s, *dataset);
    if (network) network->to(device);
    if (s.cached) cached = random_cached_teacher(*dataset, shards->path() + "/logits", device);
  });
  std::unique_ptr<Teacher> teacher;
  if (network || !s.teacher_file.empty()) {
    teacher = make_teacher(std::move(network), *dataset);
  } else if (s.teacher != "none" && in_emulated_slices(world, s)) {
    teacher = emulated_slices(world, s, initialized(spec_of(s.teacher, *dataset)));
  }
  std::vector<Teacher*> teachers = {teacher.get()};
  if (s.cached) teachers.push_back(cached.get());
  std::vector<std::unique_ptr<StepArm>> arms;
  std::vector<QuantMethod> methods;
  agree(world.control(), [&] {
    if (!s.profile.empty() && teacher) require_measured(*teacher, s);
    for (const std::string& name : split_list(s.methods)) {
      methods.push_back(from_word<QuantMethod>(name, "methods"));
      check(quant_options(s, methods.back()));
    }
  });
  for (const QuantMethod method : methods) {
    for (Teacher* const one : teachers) {
      arms.push_back(std::make_unique<StepArm>(world, s, device, method, *dataset, one, watchdog));
    }
  }
  measure(world, s, arms);
  for (const auto& arm : arms) {
    const Json line = arm->result();
    if (world.place().rank == 0) std::printf("%s\n", line.dump().c_str());
  }
  agree(world.control(), [&] {
    if (s.profile.empty() || world.place().rank != 0) return;
    replace_file(s.profile, to_json(arms.front()->profile()).dump(1) + "\n");
  });
  watchdog.stop();
}

}  // namespace bitstill
