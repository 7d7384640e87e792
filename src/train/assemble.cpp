#include "bitstill/train/assemble.hpp"

#include <cstdio>
#include <utility>

#include "bitstill/base/log.hpp"
#include "bitstill/comm/link.hpp"
#include "bitstill/comm/nccl.hpp"
#include "bitstill/train/codec_choice.hpp"

namespace bitstill {
namespace {

std::unique_ptr<Channel> gradient_channel(World& world, const ExchangeOptions& exchange,
                                          const at::Device& device) {
  if (device.is_cuda()) return make_nccl_channel(world, Traffic::gradients, device.index());
  return open_channel(world, Traffic::gradients, exchange.overlap);
}

/// Only where points may travel alone.
std::unique_ptr<Channel> points_channel(World& world, const TrainingOptions& options) {
  if (options.quant.method != QuantMethod::points) return nullptr;
  return open_channel(world, Traffic::points, options.exchange.overlap);
}

StepSettings step_settings(const Dataset& dataset, const TrainingOptions& options,
                           const at::Device& device, std::function<StepWishes()> wishes) {
  StepSettings settings;
  settings.distill = options.distill;
  settings.label_smoothing = options.train.label_smoothing;
  settings.batch_norm_momentum = options.train.batch_norm_momentum;
  settings.bf16 = use_bf16(options.train.precision, device);
  settings.seed = static_cast<uint64_t>(options.run.seed);
  settings.device = device;
  settings.shape = dataset.index().shape;
  settings.sweep_batches = options.layout.sweep_batches;
  settings.wishes = std::move(wishes);
  return settings;
}

int64_t settled_chunk_bytes(World& world, int64_t gradient_bytes) {
  if (world.place().world == 1) return kDefaultChunkBytes;
  const LinkSpeed speed = measure_link(*world.control().duplicate(Traffic::gradients));
  const int64_t chosen = chunk_bytes_for(speed, gradient_bytes);
  char text[160];
  std::snprintf(text, sizeof text,
                "exchange.chunk_bytes = %lld: a sum over ranks takes %.3f ms and 1 s for %.1f MB",
                static_cast<long long>(chosen), 1e3 * speed.latency_s, 1e-6 * speed.bytes_per_s);
  say(text);
  return chosen;
}

Codec settled_codec(World& world, int64_t chunk_bytes, int64_t gradient_bytes) {
  if (world.place().world == 1) return Codec::none;
  const auto comm = world.control().duplicate(Traffic::gradients);
  const SumSeconds seconds = measure_sums(*comm, chunk_bytes, gradient_bytes);
  const Codec chosen = chosen_codec(seconds);
  char text[160];
  std::snprintf(
      text, sizeof text,
      "exchange.codec = %s: the sum of 1 MB over ranks takes %.3f ms exact, %.3f ms coded",
      word(chosen), 1e9 * seconds.exact, 1e9 * seconds.coded);
  say(text);
  return chosen;
}

}  // namespace

Trained trained_in_run(const QuantOptions& quant) {
  return quant.alternate == Alternate::off ? trained_by(quant) : Trained{true, true, true};
}

void settle_exchange(World& world, int64_t gradient_bytes, ExchangeOptions* options) {
  if (options->chunk_bytes == 0) {
    options->chunk_bytes = settled_chunk_bytes(world, gradient_bytes);
  }
  if (options->codec == Codec::automatic) {
    options->codec = settled_codec(world, options->chunk_bytes, gradient_bytes);
  }
}

TrainingParts::TrainingParts(World& world, Watchdog& watchdog, const Dataset& dataset,
                             Student& student, Teacher* teacher, const TrainingOptions& options,
                             const at::Device& device, std::function<StepWishes()> wishes)
    : schedule(options.train),
      optimizer(student, options.train, trained_in_run(options.quant)),
      learned_optimizer(student, options.quant, options.train),
      average(student, options.train),
      statistics(options.train.batch_norm == BatchNormSource::synced
                     ? world.control().duplicate(Traffic::statistics)
                     : nullptr),
      exchange(student, world.place().rank, static_cast<uint64_t>(options.run.seed),
               options.exchange, gradient_channel(world, options.exchange, device),
               points_channel(world, options)),
      step({student, teacher, exchange, optimizer, learned_optimizer, watchdog, world.control(),
            statistics.get()},
           step_settings(dataset, options, device, std::move(wishes))) {}

}  // namespace bitstill
