// The training step as the trainer makes it, on random images, timed.
#pragma once

#include <c10/core/Device.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "bitstill/base/text.hpp"
#include "bitstill/comm/processors.hpp"
#include "bitstill/comm/world.hpp"
#include "bitstill/data/dataset.hpp"
#include "bitstill/infer/freeze.hpp"
#include "bitstill/model/network.hpp"
#include "bitstill/teacher/options.hpp"
#include "bitstill/teacher/teacher.hpp"
#include "bitstill/train/options.hpp"

namespace bitstill {

struct BenchStepOptions {
  std::string student = "student1", teacher = "teacher", methods = "uniform";
  TrainPrecision precision = TrainPrecision::automatic;
  TeacherPrecision teacher_precision = TeacherPrecision::automatic;
  std::string teacher_file;
  TeacherLayout layout;
  bool cached = false;
  DeviceWish device = DeviceWish::cpu;
  int64_t bits = 4, bucket = 256, batch = 32, size = 32;
  int64_t warmup = 5, steps = 20, rounds = 1, threads = 1;
  double emulate = 0;
  Overlap overlap = Overlap::automatic, gathers = Overlap::automatic;
  int64_t chunk_bytes = kDefaultChunkBytes;
  Codec codec = Codec::none;
  std::string profile;
};
template <ConstOr<BenchStepOptions> Options, class Visit>
void visit_settings(Options& options, const Visit& visit) {
  visit("student", options.student,
        concat(list_names(network_kinds(), 20), "; wrn-40-2: of depth 40, width factor 2"));
  visit("teacher", options.teacher, "a network, or none: cross-entropy");
  visit("methods", options.methods, "quant.method of each arm, taken in turn: uniform,none");
  visit("precision", options.precision, "");
  visit("teacher.precision", options.teacher_precision, "");
  visit("teacher.file", options.teacher_file, "a model file in place of a network");
  visit("cached", options.cached, "after each arm the same one with a logit cache for its teacher");
  visit("device", options.device, "");
  visit("bits", options.bits, "");
  visit("bucket", options.bucket, "");
  visit("batch", options.batch, "images a rank and step");
  visit("size", options.size, "pixels of an image's side");
  visit("warmup", options.warmup, "steps before the first round");
  visit("steps", options.steps, "timed steps of each arm a round");
  visit("rounds", options.rounds, "");
  visit("threads", options.threads, "of each rank");
  visit(
      "emulate", options.emulate,
      "milliseconds: networks sleep instead of computing, as on an accelerator that leaves the "
      "cores idle. So long the backward pass, half of it the forward pass and the teacher's; each "
      "layer by its multiply-adds. Buffers, hooks, messages and updates stay real; prints the "
      "hidden share of the exchange, 1 - exposed / busy");
  visit("overlap", options.overlap, "exchange.overlap, of gradients");
  visit("teacher.overlap", options.gathers, "exchange.overlap, of a teacher's gathers");
  visit("chunk_bytes", options.chunk_bytes, "exchange.chunk_bytes");
  visit("codec", options.codec, "exchange.codec");
  visit("profile", options.profile,
        "a file to write: the step's parts, unit by unit, for bitstill scaling");
}

/// The teacher of a network, or (null) of options.teacher_file. Collective.
using TeacherMaker = std::function<std::unique_ptr<Teacher>(std::unique_ptr<Network> network,
                                                            const Dataset& shards)>;

/// Prints a JSON line a method, of steps on `device`. Errors are AgreedError, or end the whole job.
/// Collective: every rank of world calls this.
void bench_step(World& world, const BenchStepOptions& options, const c10::Device& device,
                const TeacherMaker& make_teacher);

}  // namespace bitstill
