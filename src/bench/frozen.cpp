// V3: a residual network compiled for inference, in this process, beside PyTorch's in another.
#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>

#include "bitstill/base/log.hpp"
#include "bitstill/base/random.hpp"
#include "bitstill/base/text.hpp"
#include "bitstill/model/frozen_network.hpp"
#include "peer_sweep.hpp"
#include "rows.hpp"

namespace bitstill {
namespace {

constexpr int64_t kSize = 224, kBatch = 16, kBatches = 4, kClasses = 1000;

struct Asked {
  InferencePrecision precision;
  double target;
};
constexpr Asked kAsked[] = {{InferencePrecision::bf16, 1}, {InferencePrecision::int8, 1.5}};

/// [count, 3, 224, 224]: uniform numbers, of a variance of 1.
at::Tensor random_images(int64_t count) {
  const at::Tensor x = at::empty({count, 3, kSize, kSize});
  RandomStream stream(1, StreamPurpose::initialization, "bench");
  float* const values = x.mutable_data_ptr<float>();
  for (int64_t i = 0; i < x.numel(); ++i) values[i] = 3.46f * (stream.uniform() - 0.5f);
  return x;
}

double images_a_cpu_second(const FrozenNetwork& network, const at::Tensor& x) {
  network.forward(x);
  const double start = cpu_seconds();
  for (int64_t i = 0; i < kBatches; ++i) network.forward(x);
  return static_cast<double>(kBatches * x.size(0)) / (cpu_seconds() - start);
}

/// How near the logits are to those in fp32. Of random weights all images have much the same
/// logits: before the largest are compared, their means over the images are taken off.
Json nearness(const FrozenNetwork& network, const at::Tensor& x, const at::Tensor& truth) {
  const at::Tensor found = network.forward(x);
  const auto centred = [](const at::Tensor& logits) { return logits - logits.mean(0, true); };
  const at::Tensor one = centred(found), other = centred(truth);
  const at::Tensor same = (one.argmax(1) == other.argmax(1)).to(at::kFloat);
  const at::Tensor kl = (truth.softmax(1) * (truth.log_softmax(1) - found.log_softmax(1))).sum(1);
  return {{"relative_error", ((found - truth).norm() / truth.norm()).item<double>()},
          {"top1_alike_percent", 100 * same.mean().item<double>()},
          {"mean_kl", kl.mean().item<double>()}};
}

class OneThread {
 public:
  OneThread() { at::set_num_threads(1); }
  ~OneThread() { at::set_num_threads(before_); }
  OneThread(const OneThread&) = delete;
  OneThread& operator=(const OneThread&) = delete;

 private:
  int before_ = at::get_num_threads();
};

void measure(const Peer& peer, const BenchOptions& options, Row& row) {
  NetworkSpec spec;
  spec.kind = "resnet34";
  spec.input = {3, kSize, kSize};
  spec.classes = kClasses;
  const auto network = make_network(spec);
  initialize(*network, 1);
  const at::Tensor x = random_images(4 * kBatch), batch = x.narrow(0, 0, kBatch);
  std::string obstacle;
  const auto exact = FrozenNetwork::make(*network, InferencePrecision::fp32, x, &obstacle);
  if (!exact) throw Error(ExitCode::environment, obstacle);
  const at::Tensor truth = exact->forward(x);
  std::vector<std::unique_ptr<FrozenNetwork>> ours;
  for (const Asked& asked : kAsked) {
    ours.push_back(FrozenNetwork::make(*network, asked.precision, x, &obstacle));
    if (!ours.back()) row.conditions["skipped"][precision_name(asked.precision)] = obstacle;
  }
  Pair speeds[std::size(kAsked)];  // images a CPU second: the peer's, ours
  for (int64_t round = 0; round < options.rounds; ++round) {
    const double theirs = json_lines(peer.run_alone({"--batch", std::to_string(kBatch)}).output)
                              .at(0)["images_per_cpu_s"];
    for (std::size_t i = 0; i < ours.size(); ++i) {
      if (!ours[i]) continue;
      speeds[i].a.push_back(theirs);
      speeds[i].b.push_back(images_a_cpu_second(*ours[i], batch));
    }
    say(concat("round ", round + 1, " of ", options.rounds));
  }
  row.conditions["images_per_cpu_s in fp32"] = images_a_cpu_second(*exact, batch);
  for (std::size_t i = 0; i < ours.size(); ++i) {
    if (!ours[i]) continue;
    row.parts.push_back({precision_name(kAsked[i].precision),
                         median(speeds[i].ratios()),
                         kAsked[i].target,
                         true,
                         {{"images_per_cpu_s", {median(speeds[i].b), median(speeds[i].a)}},
                          {"beside fp32", nearness(*ours[i], x, truth)}}});
  }
}

}  // namespace

Row bench_frozen_residual(const BenchOptions& options) {
  Row row;
  row.against = "infer_residual.py: PyTorch, bf16, channels-last, eager";
  row.conditions = {{"threads", 1},
                    {"batch", kBatch},
                    {"rounds", options.rounds},
                    {"weights",
                     "random: what a trained network's top-1 loses, evaluate "
                     "--precision int8 --against says"}};
  const Peer peer("infer_residual.py");
  row.skip = peer.absent();
  if (!row.skip.empty()) return row;
  const OneThread scope;
  measure(peer, options, row);
  return row;
}

}  // namespace bitstill
