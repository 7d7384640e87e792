#include "bitstill/infer/evaluate.hpp"

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/randn.h>

#include "../data/data_fixture.hpp"
#include "bitstill/comm/agree.hpp"
#include "bitstill/comm/solo.hpp"
#include "bitstill/comm/thread_world.hpp"
#include "bitstill/infer/loaded_model.hpp"
#include "bitstill/model/weights.hpp"
#include "bitstill/quant/quantizer.hpp"

namespace bitstill {
namespace {

const std::vector<std::string> kClasses = {"ant", "bee", "cat"};

NetworkSpec spec_of(int64_t hidden = 8) {
  NetworkSpec spec;
  spec.input = {3, 5, 7};
  spec.normalization = {{.5f, .4f, .3f}, {.2f, .3f, .25f}};
  spec.classes = 3;
  spec.widths = {4};
  spec.kernels = {3};
  spec.hidden = {hidden};
  return spec;
}

std::unique_ptr<Network> network_of(uint64_t seed) {
  auto network = make_network(spec_of());
  initialize(*network, seed);
  return network;
}

Json about_of(const Network& network, const std::vector<std::string>& classes = kClasses) {
  return describe_model("weights", network.spec(), classes);
}

/// The same counts, sample by sample.
ClassificationCounts plain_loop(const Network& network, const Rows& rows, const ImageShape& shape) {
  const at::NoGradGuard no_grad;
  const Normalization& normalization = network.spec().normalization;  // not the shards'
  ClassificationCounts counts;
  const auto pixels = static_cast<std::size_t>(shape.pixels());
  for (std::size_t i = 0; i < rows.labels.size(); ++i) {
    at::Tensor x = at::randn({1, shape.channels, shape.height, shape.width});
    for (std::size_t p = 0; p < pixels; ++p) {
      const std::size_t c = p / static_cast<std::size_t>(shape.height * shape.width);
      x.data_ptr<float>()[p] =
          (static_cast<float>(rows.pixels[i * pixels + p]) / 255 - normalization.mean[c]) /
          normalization.deviation[c];
    }
    const at::Tensor losses = -at::log_softmax(network.forward(x, {}), 1)[0];
    const int64_t label = rows.labels[i];
    ++counts.samples;
    counts.correct += losses.argmin().item<int64_t>() == label ? 1 : 0;
    counts.add_loss(losses[label].item<double>());
  }
  return counts;
}

TEST(Evaluate, CountsAreEqualAtEveryWorldSizeAndAPlainLoops) {
  const ScratchFolder folder;
  const SmallSet set(folder / "set");
  const Dataset dataset(folder / "set");
  const auto network = network_of(3);
  for (const Split split : {Split::train, Split::validation, Split::test}) {
    for (const int64_t batch : {1, 4, 100}) {
      EvaluateOptions options;
      options.batch = batch;
      int64_t calls = 0;
      options.progress = [&](bool waits) { calls += waits ? 0 : 1; };
      const auto comm = make_solo_communicator(Traffic::control);
      const ClassificationCounts alone = evaluate(*network, dataset, split, options, *comm);
      EXPECT_EQ(calls, (dataset.size(split) + batch - 1) / batch);
      const ClassificationCounts plain =
          plain_loop(*network, set.rows[static_cast<std::size_t>(split)], set.shape);
      EXPECT_EQ(alone.samples, dataset.size(split));
      EXPECT_EQ(alone.samples, plain.samples);
      EXPECT_EQ(alone.correct, plain.correct);
      EXPECT_NEAR(alone.mean_loss(), plain.mean_loss(), 1e-5);
      options.progress = nullptr;
      for (const int world : {1, 2, 3, 9}) {
        run_as_ranks(world, [&](Communicator& rank) {
          at::set_num_threads(1);
          const auto counts = evaluate(*network, dataset, split, options, rank);
          EXPECT_EQ(counts.samples, alone.samples);
          EXPECT_EQ(counts.correct, alone.correct);
          EXPECT_EQ(counts.loss_units, alone.loss_units);
        });
      }
    }
  }
}

TEST(Evaluate, ARankThatFailsStopsAll) {
  const ScratchFolder folder;
  const SmallSet set(folder / "set");
  const Dataset dataset(folder / "set");
  const auto network = network_of(3);
  std::array<std::string, 3> messages;
  run_as_ranks(3, [&](Communicator& rank) {
    EvaluateOptions options;
    options.batch = 4;
    options.progress = [&](bool waits) {
      if (!waits && rank.rank() == 1) throw Error(ExitCode::data, "row 9 is damaged");
    };
    try {
      evaluate(*network, dataset, Split::train, options, rank);
    } catch (const AgreedError& error) {
      EXPECT_EQ(error.code(), ExitCode::data);
      messages[static_cast<std::size_t>(rank.rank())] = error.what();
    }
  });
  for (const std::string& message : messages) EXPECT_HOLDS(message, "row 9 is damaged");
}

TEST(LoadModel, FilesThatDescribeThemselves) {
  const ScratchFolder folder;
  const std::string path = folder / "m.safetensors";
  const auto network = network_of(5);
  write_model_file(path, {about_of(*network), named_tensors(*network), {}});
  const LoadedModel model = load_model(path);
  EXPECT_EQ(model.classes, kClasses);
  EXPECT_EQ(model.network->spec().normalization, network->spec().normalization);
  EXPECT_EQ(to_json(model.network->spec()), to_json(network->spec()));
  EXPECT_EQ(model.file_bytes, static_cast<int64_t>(std::filesystem::file_size(path)));
  EXPECT_EQ(model.about["kind"], "weights");
  const at::Tensor x = at::randn({4, 3, 5, 7});
  EXPECT_TRUE(at::equal(model.network->forward(x, {}), network->forward(x, {})));
  EXPECT_FALSE(model.network->forward(x, {}).requires_grad());
}

TEST(LoadModel, PackedFilesGiveTheDecodedWeights) {
  const ScratchFolder folder;
  const std::string path = folder / "m.safetensors";
  const auto network = network_of(5);
  QuantOptions options;
  options.method = QuantMethod::uniform;
  options.bits = 2;
  options.bucket = 50;
  ModelFile file{about_of(*network), named_tensors(*network), {}};
  // The first weight [4, 3, 3, 3] packed: 108 values, three buckets.
  const at::Tensor weight = file.tensors[0].second;
  const Segment segment{file.tensors[0].first, weight.sizes().vec(), 0, weight.numel(), 4};
  const auto quantizer = make_quantizer(options, {segment}, 1);
  file.quantized.emplace_back(segment.name,
                              quantizer->encode(segment, weight.const_data_ptr<float>(), 0));
  file.tensors.erase(file.tensors.begin());
  write_model_file(path, file);
  std::vector<float> expected(108);
  quantizer->quantize(weight.const_data_ptr<float>(), expected.data(), 0);
  const LoadedModel model = load_model(path);
  const float* got = model.network->parameters()[0]->value.const_data_ptr<float>();
  EXPECT_TRUE(std::equal(expected.begin(), expected.end(), got));
}

TEST(LoadModel, PlainFilesNeedTheFacts) {
  const ScratchFolder folder;
  const std::string path = folder / "plain.safetensors";
  const auto network = network_of(5);
  write_model_file(path, {Json(), named_tensors(*network), {}});
  EXPECT_HOLDS(error_of(ExitCode::model, [&] { load_model(path); }), "--model.kind");
  DataIndex shards;
  shards.shape = {3, 5, 7};
  shards.classes = kClasses;
  shards.normalization = {{0, 0, 0}, {1, 1, 1}};
  FileFacts facts{"model", spec_of(), &shards};
  const LoadedModel model = load_model(path, facts);
  EXPECT_TRUE(model.about.is_null());
  EXPECT_EQ(model.classes, kClasses);
  EXPECT_TRUE(at::equal(model.network->parameters()[0]->value, network->parameters()[0]->value));
  facts.settings = spec_of(9);
  const std::string text = error_of(ExitCode::model, [&] { load_model(path, facts); });
  EXPECT_HOLDS(text, path);
  EXPECT_HOLDS(text, "misshaped");
}

TEST(LoadModel, RefusesFilesFromStrangers) {
  const ScratchFolder folder;
  const std::string path = folder / "m.safetensors";
  const auto network = network_of(5);
  const auto refuse = [&](const Json& about) {
    write_model_file(path, {about, named_tensors(*network), {}});
    const std::string text = error_of(ExitCode::model, [&] { load_model(path); });
    EXPECT_HOLDS(text, path);
    return text;
  };
  for (const char* member : {"network", "normalization", "classes"}) {
    Json about = about_of(*network);
    about.erase(member);
    EXPECT_HOLDS(refuse(about), member);
  }
  for (const Json& classes :
       {Json("ant"), Json({1, 2, 3}), Json({"ant", "bee"}), Json(7), Json()}) {
    Json about = about_of(*network);
    about["classes"] = classes;
    refuse(about);
  }
  Json about = about_of(*network);
  about["normalization"]["mean"] = {0.5};
  refuse(about);
  about = about_of(*network);
  about["network"]["kind"] = "transformer";
  refuse(about);
  // A network far larger than the file is refused before its memory is taken.
  about = about_of(*network);
  about["network"]["widths"] = {60000, 60000};
  about["network"]["kernels"] = {3};
  EXPECT_HOLDS(refuse(about), "does not fit");

  put_file(path, "this is text, not a model file, and long enough for a header's length");
  EXPECT_HOLDS(error_of(ExitCode::model, [&] { load_model(path); }), path);
  EXPECT_HOLDS(error_of(ExitCode::model, [&] { load_model(folder / "none"); }), "none");
}

TEST(LoadModel, FitsOnlyItsOwnShards) {
  const ScratchFolder folder;
  const std::string path = folder / "m.safetensors";
  const auto network = network_of(5);
  write_model_file(path, {about_of(*network), named_tensors(*network), {}});
  const LoadedModel model = load_model(path);
  const auto fits = [&](const ImageShape& shape, const std::vector<std::string>& classes) {
    DataIndex shards;
    shards.shape = shape;
    shards.classes = classes;
    require_fits(model, path, shards);
  };
  EXPECT_NO_THROW(fits({3, 5, 7}, kClasses));
  const std::string shape = error_of(ExitCode::model, [&] { fits({1, 28, 28}, kClasses); });
  EXPECT_HOLDS(shape, path);
  EXPECT_HOLDS(shape, "3x5x7");
  EXPECT_HOLDS(shape, "1x28x28");
  for (const auto& classes : {std::vector<std::string>{"ant", "bee"}, {"ant", "cat", "bee"}}) {
    const std::string text = error_of(ExitCode::model, [&] { fits({3, 5, 7}, classes); });
    EXPECT_HOLDS(text, "ant, bee and cat");
    EXPECT_HOLDS(text, classes.back());
  }
}

}  // namespace
}  // namespace bitstill
