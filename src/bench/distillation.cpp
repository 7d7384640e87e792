// P1, P2 and P16: rows that run whole steps on two ranks of one thread.
#include <algorithm>

#include "bitstill/base/log.hpp"
#include "bitstill/base/text.hpp"
#include "bitstill/bench/step.hpp"
#include "bitstill/quant/options.hpp"
#include "peer_sweep.hpp"
#include "rows.hpp"

namespace bitstill {
namespace {

constexpr int kRanks = kStepRanks;

// --- P2 ---

/// Points fixed (uniform), learned beside the weights (joint), or alone (points).
void quantized_parts(const BenchOptions& options, const std::string& student,
                     const std::string& batch, Row& row) {
  const std::vector<QuantMethod> methods = {QuantMethod::uniform, QuantMethod::joint,
                                            QuantMethod::points};
  const auto lines =
      run_step({"--student", student, "--batch", batch, "--methods", "none,uniform,joint,points",
                "--precision", "auto", "--steps", std::to_string(options.steps), "--rounds",
                std::to_string(options.rounds)});
  const bool large = std::stoi(batch) >= 32;
  for (std::size_t m = 0; m < methods.size(); ++m) {
    const Json& line = lines.at(m + 1);
    const Pair ms{lines.at(0)["round_ms"], line["round_ms"]};
    Part part;
    part.name = concat(methods[m], " 4 bits, ", student, ", batch ", batch);
    part.value = median(ms.ratios());
    part.target =
        methods[m] == QuantMethod::uniform ? (large ? 1.02 : 1.05) : (large ? 1.05 : 1.10);
    part.at_least = false;
    part.details = {{"fp32_ms_median", median(ms.a)},
                    {"quantized_ms_median", median(ms.b)},
                    {"value_of_minima", ms.least_b() / ms.least_a()},
                    {"quantize_ms", line["ms"]["quantize"]}};
    row.parts.push_back(part);
  }
}

// --- P1 ---

Configuration plain() {
  return {{{"bucket_mb", 25}, {"channels_last", false}, {"bf16", false}, {"compiled", false}}};
}

/// How ours runs: the step's precision, and the teacher's.
struct Way {
  std::string name;
  TrainPrecision precision;
  TeacherPrecision teacher;
};

std::vector<Way> ways(const BenchOptions& options) {
  std::vector<Way> all;
  const auto add = [&](TrainPrecision precision) {
    all.push_back({word(precision), precision, TeacherPrecision::automatic});
  };
  for (const std::string& name : split_list(options.precisions)) {
    const auto precision = from_word<TrainPrecision>(name, "precisions");
    const bool automatic = precision == TrainPrecision::automatic;
    add(automatic ? TrainPrecision::fp32 : precision);
    if (automatic && has_bf16()) add(TrainPrecision::bf16);
  }
  const Way& last = all.back();
  all.push_back({last.name + ", 8-bit teacher", last.precision, TeacherPrecision::int8});
  return all;
}

double speed_target(const Way& way, const std::string& student) {
  if (way.teacher == TeacherPrecision::int8) return student == "student1" ? 1.3 : 2;
  return student == "student1" ? 1.25 : 1.45;
}

/// One student at one batch: each way's two programs and the peer's default, in turn.
void distillation_parts(const Peer& peer, const BenchOptions& options, const std::string& student,
                        const std::string& batch, Row& row) {
  const std::vector<Json> swept = sweep(peer, options, student, batch, 16);
  const std::vector<Way> all = ways(options);
  const std::string steps = std::to_string(options.steps);
  const auto ask_peer = [&](const Configuration& configuration) {
    return peer_speed(peer, options, student, batch, configuration);
  };
  std::vector<Pair> speeds(all.size());  // images/s: the peer's, ours
  std::vector<Json> ours(all.size());
  std::vector<double> usual;
  for (int64_t round = 0; round < options.rounds; ++round) {
    for (std::size_t w = 0; w < all.size(); ++w) {
      ours[w] = run_step({"--student", student, "--batch", batch, "--steps", steps, "--precision",
                          word(all[w].precision), "--teacher.precision", word(all[w].teacher)})
                    .at(0);
      speeds[w].b.push_back(ours[w]["images_per_s"]);
      speeds[w].a.push_back(ask_peer(fastest(swept, all[w].precision == TrainPrecision::bf16)));
    }
    usual.push_back(ask_peer(plain()));
    say(concat(student, ", batch ", batch, ": round ", round + 1, " of ", options.rounds));
  }
  const std::string where = concat(", ", student, ", batch ", batch);
  const auto peak = [](const std::vector<double>& values) {
    return *std::max_element(values.begin(), values.end());
  };
  std::size_t best = 0;
  for (std::size_t w = 0; w < all.size(); ++w) {
    if (median(speeds[w].b) > median(speeds[best].b)) best = w;
    const Json details = {{"images_per_s", {median(speeds[w].b), median(speeds[w].a)}},
                          {"images_per_s_best", {peak(speeds[w].b), peak(speeds[w].a)}},
                          {"value_of_best", peak(speeds[w].b) / peak(speeds[w].a)},
                          {"ours", ours[w]},
                          {"peer", fastest(swept, all[w].precision == TrainPrecision::bf16).line}};
    row.parts.push_back({all[w].name + where, median(speeds[w].ratios()),
                         speed_target(all[w], student), true, details});
  }
  const Pair default_pair{usual, speeds[best].b};
  row.parts.push_back({all[best].name + " over the peer's default" + where,
                       median(default_pair.ratios()),
                       student == "student1" ? 2.8 : 4.6,
                       true,
                       {{"images_per_s", {median(speeds[best].b), median(usual)}},
                        {"images_per_s_best", {peak(speeds[best].b), peak(usual)}}}});
}

}  // namespace

Row bench_quantized_step(const BenchOptions& options) {
  Row row;
  row.against = "the same step with quant.method none, in turn within one process";
  row.conditions = {
      {"ranks", kRanks}, {"threads", 1}, {"rounds", options.rounds}, {"steps", options.steps}};
  for (const std::string& student : split_list(options.students)) {
    for (const std::string& batch : split_list(options.batches)) {
      quantized_parts(options, student, batch, row);
    }
  }
  return row;
}

Row bench_distillation_step(const BenchOptions& options) {
  Row row;
  row.against = "ddp_distill.py, the fastest of its --sweep in the same precision, and its default";
  row.conditions = {
      {"ranks", kRanks},          {"threads", 1},           {"bits", 4},           {"bucket", 256},
      {"rounds", options.rounds}, {"steps", options.steps}, {"images", kOurImages}};
  const Peer peer;
  if (!peer.absent().empty()) {
    row.skip = peer.absent();
    return row;
  }
  for (const std::string& student : split_list(options.students)) {
    for (const std::string& batch : split_list(options.batches)) {
      distillation_parts(peer, options, student, batch, row);
    }
  }
  return row;
}

Row bench_start(const BenchOptions& options) {
  Row row;
  row.against =
      "mpirun of nothing (true), and ddp_distill.py's first step; whole processes, from "
      "start to exit; ours also makes its shards meanwhile";
  row.conditions = {{"ranks", kRanks},
                    {"threads", 1},
                    {"rounds", options.rounds},
                    {"student", "student1"},
                    {"batch", 32}};
  const Peer peer;
  if (!peer.absent().empty()) row.skip = "against the peer: " + peer.absent();
  Pair bare, ddp;  // seconds
  std::vector<double> empty;
  for (int64_t round = 0; round < options.rounds; ++round) {
    const Words step = {own_path(), "bench", "step", "--steps", "1", "--warmup", "0"};
    bare.a.push_back(run_program(on_ranks(kRanks, {"true"})).seconds);
    bare.b.push_back(run_program(on_ranks(kRanks, step)).seconds);
    empty.push_back(run_program(on_ranks(kRanks, {own_path(), "bench", "bare"})).seconds);
    if (!row.skip.empty()) continue;
    ddp.a.push_back(peer.run({"--student", "student1", "--steps", "1", "--warmup", "0"}).seconds);
    ddp.b.push_back(bare.b.back());
  }
  row.parts.push_back({"seconds above a bare mpirun",
                       median(bare.b) - median(bare.a),
                       1,
                       false,
                       {{"ours_s", median(bare.b)},
                        {"mpirun_true_s", median(bare.a)},
                        {"ours_with_MPI_Init_alone_s", median(empty)},
                        {"value_of_minima", bare.least_b() - bare.least_a()}}});
  if (!ddp.a.empty()) {
    row.parts.push_back({"over DistributedDataParallel",
                         median(ddp.ratios()),
                         0.5,
                         false,
                         {{"ours_s", median(ddp.b)},
                          {"peer_s", median(ddp.a)},
                          {"value_of_minima", ddp.least_b() / ddp.least_a()}}});
  }
  return row;
}

}  // namespace bitstill
