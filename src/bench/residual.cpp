// V2 and V6: steps of residual networks on two ranks of one thread.
#include <algorithm>

#include "bitstill/base/log.hpp"
#include "bitstill/base/text.hpp"
#include "bitstill/infer/freeze.hpp"
#include "bitstill/quant/options.hpp"
#include "peer_sweep.hpp"
#include "rows.hpp"

namespace bitstill {
namespace {

/// As tests/bench/ddp_residual.py knows them by the student's name.
struct Pupil {
  const char* student;
  const char* teacher;
  const char* size;  // pixels
};
constexpr Pupil kPupils[] = {{"resnet18", "resnet34", "64"}, {"wrn-16-2", "wrn-40-2", "32"}};
constexpr const char* kBatch = "32";

struct Asked {
  TeacherPrecision teacher;
  double target;
};
constexpr Asked kAsked[] = {{TeacherPrecision::bf16, 1.15}, {TeacherPrecision::int8, 1.3}};

void step_parts(const Peer& peer, const BenchOptions& options, const Pupil& pupil, Row& row) {
  constexpr std::size_t kConfigurations = 4;
  const std::string student = pupil.student, steps = std::to_string(options.steps);
  const Configuration best = fastest(sweep(peer, options, student, kBatch, kConfigurations), true);
  Pair speeds[std::size(kAsked)];  // images/s: the peer's, ours
  Json ours[std::size(kAsked)];
  for (int64_t round = 0; round < options.rounds; ++round) {
    const double theirs = peer_speed(peer, options, student, kBatch, best);
    for (std::size_t i = 0; i < std::size(kAsked); ++i) {
      ours[i] = run_step({"--student", student, "--teacher", pupil.teacher, "--size", pupil.size,
                          "--batch", kBatch, "--steps", steps, "--precision", "bf16",
                          "--teacher.precision", word(kAsked[i].teacher)})
                    .at(0);
      speeds[i].a.push_back(theirs);
      speeds[i].b.push_back(ours[i]["images_per_s"]);
    }
    say(concat(student, ": round ", round + 1, " of ", options.rounds));
  }
  for (std::size_t i = 0; i < std::size(kAsked); ++i) {
    const bool codes = kAsked[i].teacher == TeacherPrecision::int8;
    row.parts.push_back({concat(student, " from ", pupil.teacher, codes ? ", 8-bit teacher" : ""),
                         median(speeds[i].ratios()),
                         kAsked[i].target,
                         true,
                         {{"images_per_s", {median(speeds[i].b), median(speeds[i].a)}},
                          {"ours", ours[i]},
                          {"peer", best.line}}});
  }
}

/// Quantized over not, in turn within one process.
void quantized_parts(const BenchOptions& options, const char* size, const char* batch,
                     int64_t steps, double target, Row& row) {
  for (const char* const bits : {"2", "4"}) {
    const auto lines =
        run_step({"--student", "resnet18", "--teacher", "none", "--size", size, "--batch", batch,
                  "--methods", "none,uniform", "--bits", bits, "--steps", std::to_string(steps),
                  "--warmup", "2", "--rounds", std::to_string(options.rounds)});
    const Pair ms{lines.at(0)["round_ms"], lines.at(1)["round_ms"]};
    row.parts.push_back({concat(bits, " bits, ", size, " pixels, batch ", batch),
                         median(ms.ratios()),
                         target,
                         false,
                         {{"fp32_ms_median", median(ms.a)},
                          {"quantized_ms_median", median(ms.b)},
                          {"value_of_minima", ms.least_b() / ms.least_a()},
                          {"quantize_ms", lines.at(1)["ms"]["quantize"]}}});
    say(concat(size, " pixels, ", bits, " bits: measured"));
  }
}

}  // namespace

Row bench_residual_step(const BenchOptions& options) {
  Row row;
  row.against = "ddp_residual.py, the fastest of its --sweep (bf16; channels-last, torch.compile)";
  row.conditions = {{"ranks", kStepRanks},    {"threads", 1},           {"bits", 4},
                    {"bucket", 256},          {"batch a rank", kBatch}, {"rounds", options.rounds},
                    {"steps", options.steps}, {"images", kOurImages}};
  const Peer peer("ddp_residual.py");
  row.skip = has_bf16() ? peer.absent() : "this processor does not multiply bf16";
  if (!row.skip.empty()) return row;
  for (const Pupil& pupil : kPupils) step_parts(peer, options, pupil, row);
  return row;
}

Row bench_residual_bits(const BenchOptions& options) {
  Row row;
  row.against =
      "the same step with quant.method none, in turn within one process; cross-entropy, so that "
      "no teacher's time is in either";
  row.conditions = {
      {"ranks", kStepRanks}, {"threads", 1}, {"rounds", options.rounds}, {"steps", options.steps}};
  quantized_parts(options, "64", "32", options.steps, 1.03, row);
  quantized_parts(options, "224", "8", std::max<int64_t>(1, options.steps / 3), 1.01, row);
  return row;
}

}  // namespace bitstill
