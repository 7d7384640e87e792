#include "sharded_teacher.hpp"

#include <ATen/ops/zeros.h>

#include <algorithm>
#include <utility>

#include "bitstill/base/log.hpp"
#include "bitstill/base/text.hpp"
#include "bitstill/comm/agree.hpp"
#include "bitstill/infer/freeze.hpp"
#include "bitstill/infer/loaded_model.hpp"
#include "bitstill/model/frozen_pieces.hpp"
#include "bitstill/model/unit_pieces.hpp"
#include "bitstill/model/weights.hpp"
#include "bitstill/store/tensor_file.hpp"
#include "bitstill/teacher/gathered.hpp"
#include "bitstill/train/step.hpp"
#include "model_on_data.hpp"
#include "teacher_cache.hpp"

namespace bitstill {
namespace {

class FileSource final : public TensorSource {
 public:
  explicit FileSource(const TensorFile& file) : file_(file) {}
  at::Tensor rows(const std::string& name, int64_t first, int64_t count) override {
    return file_.rows(name, first, count);
  }
  at::Tensor whole(const std::string& name) override { return file_.whole(name); }
  int64_t bytes_read() const override { return static_cast<int64_t>(file_.bytes_read()); }

 private:
  const TensorFile& file_;
};

/// Images of no meaning, as many as a micro-batch holds.
SweepSample sample_for(const World& world, const RunConfig& config, const ImageShape& shape,
                       const at::Device& device) {
  const TrainOptions& train = config.train;
  const int64_t local = train.global_batch / world.place().world;
  const int64_t count = std::max<int64_t>(train.micro_batch > 0 ? train.micro_batch : local, 1);
  return {at::zeros({count, shape.channels, shape.height, shape.width}, device), 0};
}

/// What int8 needs: found by rank 0, which alone reads all of the file for it. Collective.
CodeScales code_scales_of(World& world, const Network& network, const Dataset& dataset,
                          TensorSource& source) {
  std::string text;
  agree(world.control(), [&] {
    if (world.place().rank != 0) return;
    text = to_text(find_code_scales(network, source,
                                    calibration_images(dataset, network.spec().normalization)));
  });
  return code_scales_from_text(broadcast_text(world.control(), text, 0));
}

/// Compiled for inference where it can be, as make_teacher (model_on_data.hpp) has it.
std::unique_ptr<Piecewise> in_pieces(std::unique_ptr<Network> network, const RunConfig& config,
                                     TensorSource& source, CodeScales scales,
                                     const at::Device& device, TeacherTraits* traits) {
  std::string obstacle = "it is on a GPU";
  if (device.is_cpu()) {
    const FrozenPieceOptions options{traits->precision, config.layout.piece_bytes,
                                     std::move(scales)};
    if (auto frozen = make_frozen_pieces(*network, options, &source, &obstacle)) {
      traits->compiled = true;
      return frozen;
    }
  }
  const bool bf16 = uncompiled_bf16(config.teacher_precision,
                                    use_bf16(config.train.precision, device), obstacle, device);
  traits->precision = bf16 ? InferencePrecision::bf16 : InferencePrecision::fp32;
  return make_unit_pieces(std::move(network), bf16, device);
}

/// The network's values come from `source`. Collective.
std::unique_ptr<Teacher> share(World& world, std::unique_ptr<Network> network, TensorSource& source,
                               const RunConfig& config, const Dataset& dataset,
                               const at::Device& device) {
  TeacherTraits traits;
  traits.normalization = network->spec().normalization;
  traits.precision =
      wanted_precision(config.teacher_precision, use_bf16(config.train.precision, device));
  CodeScales scales;
  if (traits.precision == InferencePrecision::int8 && device.is_cpu()) {
    scales = code_scales_of(world, *network, dataset, source);
  }
  std::unique_ptr<Piecewise> pieces;
  agree(world.control(), [&] {
    pieces = in_pieces(std::move(network), config, source, std::move(scales), device, &traits);
  });
  return make_gathered_teacher(world, std::move(pieces), source, traits, config.layout,
                               config.exchange.overlap,
                               sample_for(world, config, dataset.index().shape, device));
}

/// By config.layout, from config.teacher_file; no rank reads all of it. Errors are every rank's.
std::unique_ptr<Teacher> make_sharded_teacher(World& world, const RunConfig& config,
                                              const Dataset& dataset, const at::Device& device) {
  const std::string& path = config.teacher_file;
  std::unique_ptr<TensorFile> file;
  LoadedModel model;
  agree(world.control(), [&] {
    file = std::make_unique<TensorFile>(path);
    const DataIndex& index = dataset.index();
    model = load_skeleton(*file, {"teacher", config.teacher, &index});
    require_fits(model, path, index.shape, index.classes);
  });
  FileSource source(*file);
  return share(world, std::move(model.network), source, config, dataset, device);
}

}  // namespace

std::unique_ptr<Teacher> share_network(World& world, std::unique_ptr<Network> network,
                                       const RunConfig& config, const Dataset& dataset,
                                       const at::Device& device) {
  NetworkSource source(*network);
  return share(world, std::move(network), source, config, dataset, device);
}

bool in_slices(const World& world, const RunConfig& config) {
  return config.layout.sharding != Sharding::replicated && world.place().world > 1;
}

std::unique_ptr<Teacher> load_teacher(World& world, const RunConfig& config, const Dataset& dataset,
                                      const at::Device& device) {
  if (config.layout.sharding != Sharding::replicated && world.place().world == 1) {
    say(concat("teacher.sharding = ", word(config.layout.sharding),
               ": one rank keeps the whole teacher, as replicated"));
  }
  if (in_slices(world, config)) return make_sharded_teacher(world, config, dataset, device);
  std::unique_ptr<Teacher> teacher;
  agree(world.control(), [&] {
    LoadedModel model =
        load_model_for(config.teacher_file, "teacher", config.teacher, &dataset, device);
    teacher = make_teacher(std::move(model.network), config.teacher_precision,
                           use_bf16(config.train.precision, device), dataset);
  });
  require_equal(world.control(), {{"how the teacher runs", describe_teacher(*teacher).dump()}},
                ExitCode::environment);
  return teacher;
}

std::string layout_text(const Teacher& teacher) {
  const auto bytes = [](int64_t count) { return human_bytes(static_cast<double>(count)); };
  const TeacherTraits& traits = teacher.traits();
  const std::string precision = precision_name(traits.precision);
  if (traits.cache) {
    return concat("its answers in ", precision, " from files: ", traits.cache->samples,
                  " samples in ", traits.cache->variants, " variants, ",
                  kept_text(traits.cache->top, traits.cache->temperature), ", ",
                  bytes(traits.cache->bytes));
  }
  if (!traits.slices) return concat("whole on every rank, ", precision);
  const SliceFacts& slices = *traits.slices;
  return concat("in slices over ", slices.world, " ranks, ", precision, ": ", slices.pieces,
                " pieces of ", bytes(slices.plain), ", a rank keeps ", bytes(slices.mine),
                ", a window of ", bytes(slices.window), " and ", bytes(slices.largest_ready),
                " of the largest piece made ready");
}

}  // namespace bitstill
