#include "sharded_teacher.hpp"

#include <ATen/ops/zeros.h>

#include <algorithm>
#include <functional>
#include <utility>

#include "bitstill/base/log.hpp"
#include "bitstill/base/text.hpp"
#include "bitstill/comm/agree.hpp"
#include "bitstill/infer/freeze.hpp"
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

/// How a network is cut, travels and runs.
struct SliceWish {
  InferencePrecision precision = InferencePrecision::fp32;
  bool compile = true;  // where it can be
  /// Whether one that is not compiled, for the reason `obstacle`, runs in bf16; may throw.
  std::function<bool(const std::string& obstacle)> uncompiled;
  TeacherLayout layout;
  Overlap overlap = Overlap::automatic;
  SweepSample sample;
};

/// Images of no meaning, as many as a forward pass holds.
at::Tensor sample_images(int64_t count, const ImageShape& shape, const at::Device& device) {
  return at::zeros({count, shape.channels, shape.height, shape.width}, device);
}

/// Sentences of no meaning, of so many padded tokens.
std::shared_ptr<const Tokens> sample_sentences(int64_t padded, const at::Device& device) {
  constexpr int64_t kLength = 16;
  Batch batch;
  batch.rows.resize(static_cast<std::size_t>(std::max<int64_t>(padded / kLength, 1)));
  batch.lengths.assign(batch.rows.size(), {kLength, kLength - 1});
  batch.tokens.assign(batch.rows.size() * (2 * kLength - 1), 0);
  return std::make_shared<const Tokens>(to_tokens(batch, TargetEnds{}, device));
}

/// As a training step asks: its most micro-batches of a rank at once.
SweepSample sample_for(const World& world, const RunConfig& config, const DataIndex& shards,
                       const at::Device& device) {
  const TrainOptions& train = config.train;
  const int64_t world_size = world.place().world;
  if (shards.content == Content::tokens) {
    const int64_t tokens = (train.global_tokens + world_size - 1) / world_size;
    const int64_t micro = train.micro_tokens > 0 ? std::min(train.micro_tokens, tokens) : tokens;
    return {{}, (tokens + micro - 1) / micro, sample_sentences(micro, device)};
  }
  const int64_t local = std::max<int64_t>((train.global_batch + world_size - 1) / world_size, 1);
  const int64_t micro = train.micro_batch > 0 ? train.micro_batch : local;
  int64_t passes = (local + micro - 1) / micro;
  if (config.layout.sweep_batches > 0) passes = std::min(passes, config.layout.sweep_batches);
  return {sample_images(micro, shards.shape, device), passes};
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

std::unique_ptr<Piecewise> in_pieces(std::unique_ptr<Network> network, const SliceWish& wish,
                                     TensorSource& source, CodeScales scales,
                                     const at::Device& device, TeacherTraits* traits) {
  const bool sentences = of_sentences(network->spec());
  std::string obstacle = sentences ? "" : "it is on a GPU";
  if (device.is_cpu() && wish.compile && !sentences) {
    const FrozenPieceOptions options{wish.precision, wish.layout.piece_bytes, std::move(scales)};
    if (auto frozen = make_frozen_pieces(*network, options, &source, &obstacle)) {
      traits->compiled = true;
      return frozen;
    }
  }
  const bool bf16 = wish.uncompiled(obstacle);
  traits->precision = bf16 ? InferencePrecision::bf16 : InferencePrecision::fp32;
  return make_unit_pieces(std::move(network), bf16, device);
}

/// The network's values come from `source`. Null where it is better whole on every rank.
/// Collective.
std::unique_ptr<Teacher> share(World& world, std::unique_ptr<Network> network, TensorSource& source,
                               const SliceWish& wish, const Dataset& dataset) {
  TeacherTraits traits;
  traits.normalization = network->spec().normalization;
  traits.precision = wish.precision;
  const at::Device device = wish.sample.device();
  CodeScales scales;
  if (traits.precision == InferencePrecision::int8 && device.is_cpu() &&
      !of_sentences(network->spec())) {
    scales = code_scales_of(world, *network, dataset, source);
  }
  std::unique_ptr<Piecewise> pieces;
  agree(world.control(), [&] {
    pieces = in_pieces(std::move(network), wish, source, std::move(scales), device, &traits);
  });
  const TeacherLayout layout =
      settled_layout(world, *pieces, wish.layout, wish.overlap, wish.sample);
  if (layout.sharding == Sharding::replicated) return nullptr;
  return make_gathered_teacher(world, std::move(pieces), source, traits, layout, wish.overlap,
                               wish.sample);
}

/// From a file of which no rank reads all. Errors are every rank's. Collective.
SharedModel share_file(World& world, const std::string& path, const FileFacts& facts,
                       const SliceWish& wish, const Dataset& dataset) {
  std::unique_ptr<TensorFile> file;
  SharedModel shared;
  agree(world.control(), [&] {
    file = std::make_unique<TensorFile>(path);
    shared.model = load_skeleton(*file, facts);
    require_fits(shared.model, path, *facts.shards);
  });
  FileSource source(*file);
  shared.teacher = share(world, std::move(shared.model.network), source, wish, dataset);
  return shared;
}

SliceWish teacher_wish(const World& world, const RunConfig& config, const Dataset& dataset,
                       const at::Device& device) {
  const TeacherPrecision precision = config.teacher_precision;
  const bool bf16 = use_bf16(config.train.precision, device);
  return {wanted_precision(precision, bf16),
          true,
          [=](const std::string& obstacle) {
            return uncompiled_bf16(precision, bf16, obstacle, device);
          },
          config.layout,
          config.exchange.overlap,
          sample_for(world, config, dataset.index(), device)};
}

/// Asks a teacher in slices.
class SharedPredictor final : public Predictor {
 public:
  explicit SharedPredictor(std::unique_ptr<Teacher> teacher)
      : Predictor(teacher->traits().normalization), teacher_(std::move(teacher)) {}
  bool collective() const override { return true; }
  std::vector<at::Tensor> logits(std::span<const at::Tensor> batches, bool more) override {
    std::vector<Question> questions;
    for (const at::Tensor& x : batches) questions.push_back({x, {}, 0});
    const std::vector<Answer> answers = teacher_->answer(questions, more);
    std::vector<at::Tensor> logits;
    for (std::size_t i = 0; i < answers.size(); ++i) {
      logits.push_back(answers[i].logits(0, batches[i].size(0)));
    }
    return logits;
  }

 private:
  std::unique_ptr<Teacher> teacher_;
};

}  // namespace

void require_given(const TeacherLayout& layout) {
  if (layout.sharding != Sharding::automatic) return;
  throw Error(ExitCode::settings,
              concat(layout.prefix, "sharding = auto: give replicated, gather or hybrid here"));
}

std::unique_ptr<Teacher> share_network(World& world, std::unique_ptr<Network> network,
                                       const RunConfig& config, const Dataset& dataset,
                                       const at::Device& device) {
  NetworkSource source(*network);
  return share(world, std::move(network), source, teacher_wish(world, config, dataset, device),
               dataset);
}

SharedModel load_shared_model(World& world, const std::string& path, const FileFacts& facts,
                              ModelPrecision precision, const TeacherLayout& layout,
                              const Dataset& dataset, const EvaluateOptions& options) {
  const bool exact = precision == ModelPrecision::exact;
  const auto uncompiled = [=](const std::string& obstacle) {
    if (!exact) throw cannot_freeze("precision", word(precision), obstacle);
    return false;
  };
  return share_file(
      world, path, facts,
      {inference_precision(precision),
       !exact,
       uncompiled,
       layout,
       Overlap::automatic,
       {sample_images(options.batch, facts.shards->shape, options.device), options.sweep}},
      dataset);
}

std::unique_ptr<Predictor> make_predictor(std::unique_ptr<Teacher> teacher) {
  return std::make_unique<SharedPredictor>(std::move(teacher));
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
  std::unique_ptr<Teacher> teacher;
  if (in_slices(world, config)) {
    teacher = share_file(world, config.teacher_file, {"teacher", config.teacher, &dataset.index()},
                         teacher_wish(world, config, dataset, device), dataset)
                  .teacher;
  }
  if (teacher) return teacher;
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
    return concat("its answers in ", precision, " from files: ", held_text(*traits.cache), ", ",
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
