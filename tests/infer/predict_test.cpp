#include "bitstill/infer/predict.hpp"

#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "../data/data_fixture.hpp"
#include "bitstill/comm/agree.hpp"
#include "bitstill/comm/solo.hpp"
#include "bitstill/comm/thread_world.hpp"
#include "bitstill/infer/evaluate.hpp"

namespace bitstill {
namespace {

LoadedModel small_model() {
  NetworkSpec spec;
  spec.input = {3, 5, 7};
  spec.classes = 3;
  spec.widths = {4};
  spec.kernels = {3};
  spec.normalization = {{.5f, .4f, .3f}, {.2f, .3f, .25f}};
  LoadedModel model;
  model.network = make_network(spec);
  initialize(*model.network, 4);
  model.classes = {"ant", "bee", "cat"};
  return model;
}

std::string line_of(const Prediction& prediction) {
  std::string line = prediction.name + " " + std::to_string(prediction.label);
  for (const auto& [index, probability] : prediction.top) {
    line += " " + std::to_string(index) + " " + std::to_string(probability);
  }
  return line + "\n";
}

/// What rank 0 of `world` ranks writes, and skips.
struct Outcome {
  std::string text;
  std::vector<std::string> skipped;
};
Outcome outcome_of(const LoadedModel& model, const ImageList& images, const PredictOptions& options,
                   int world) {
  Outcome outcome;
  run_as_ranks(world, [&](Communicator& rank) {
    at::set_num_threads(1);
    const PredictionWriter writer{line_of, [&](const std::string& text) {
                                    EXPECT_EQ(rank.rank(), 0);
                                    outcome.text += text;
                                  }};
    const auto skipped = predict(model, images, options, writer, rank);
    if (rank.rank() == 0) {
      outcome.skipped = skipped;
    } else {
      EXPECT_TRUE(skipped.empty());
    }
  });
  return outcome;
}

/// The split's list, in which these images cannot be read.
ImageList with_bad(const ImageList& images, const std::vector<int64_t>& bad) {
  ImageList list = images;
  list.load = [images, bad](int64_t i, uint8_t* pixels) {
    if (std::find(bad.begin(), bad.end(), i) != bad.end()) {
      throw Error(ExitCode::data, images.name(i) + ": damaged\nPNG");
    }
    return images.load(i, pixels);
  };
  return list;
}

TEST(Predict, InOrderAndEqualAtEveryWorldSize) {
  const ScratchFolder folder;
  const SmallSet set(folder / "set");
  const Dataset dataset(folder / "set");
  const LoadedModel model = small_model();
  PredictOptions options;
  options.batch = 4;
  options.top = 2;
  const ImageList images = images_of_split(dataset, Split::train);
  const Outcome alone = outcome_of(model, images, options, 1);
  EXPECT_EQ(std::count(alone.text.begin(), alone.text.end(), '\n'), 23);
  EXPECT_TRUE(alone.text.starts_with("train/0 0 "));
  EXPECT_HOLDS(alone.text, "\ntrain/22 1 ");
  for (const int world : {2, 3, 9})
    EXPECT_EQ(outcome_of(model, images, options, world).text, alone.text);
}

TEST(Predict, FirstClassesAreThoseThatEvaluationCounts) {
  const ScratchFolder folder;
  const SmallSet set(folder / "set");
  const Dataset dataset(folder / "set");
  const LoadedModel model = small_model();
  const auto comm = make_solo_communicator(Traffic::control);
  int64_t right = 0;
  double loss = 0;
  PredictOptions options;
  options.batch = 100;
  const PredictionWriter writer{[&](const Prediction& prediction) {
                                  right += prediction.top[0].index == prediction.label ? 1 : 0;
                                  double sum = 0;
                                  for (const auto& [index, probability] : prediction.top) {
                                    sum += probability;
                                    if (index == prediction.label) loss -= std::log(probability);
                                  }
                                  EXPECT_NEAR(sum, 1, 1e-12);
                                  return std::string();
                                },
                                [](const std::string&) {}};
  predict(model, images_of_split(dataset, Split::train), options, writer, *comm);
  const auto counts = evaluate(*model.network, dataset, Split::train, {}, *comm);
  EXPECT_EQ(counts.correct, right);
  EXPECT_NEAR(counts.mean_loss(), loss / 23, 1e-7);
}

TEST(Predict, ImagesThatCannotBeReadAreLeftOutOrEndTheJob) {
  const ScratchFolder folder;
  const SmallSet set(folder / "set");
  const Dataset dataset(folder / "set");
  const LoadedModel model = small_model();
  // All of the second batch, the middle of the third, the very last image.
  const ImageList images = with_bad(images_of_split(dataset, Split::train), {4, 5, 6, 7, 9, 22});
  PredictOptions options;
  options.batch = 4;
  options.skip_bad = true;
  const Outcome alone = outcome_of(model, images, options, 1);
  EXPECT_EQ(std::count(alone.text.begin(), alone.text.end(), '\n'), 17);
  ASSERT_EQ(alone.skipped.size(), 6u);
  EXPECT_EQ(alone.skipped[4], "train/9: damaged\\nPNG");
  for (const int world : {2, 3}) {
    const Outcome outcome = outcome_of(model, images, options, world);
    EXPECT_EQ(outcome.text, alone.text);
    EXPECT_EQ(outcome.skipped, alone.skipped);
  }
  options.skip_bad = false;
  for (const int world : {1, 2, 3}) {
    std::vector<std::string> messages(static_cast<std::size_t>(world));
    run_as_ranks(world, [&](Communicator& rank) {
      try {
        predict(model, images, options, {line_of, [](const std::string&) {}}, rank);
      } catch (const AgreedError& error) {
        EXPECT_EQ(error.code(), ExitCode::data);
        messages[static_cast<std::size_t>(rank.rank())] = error.what();
      }
    });
    for (const std::string& message : messages) {
      EXPECT_HOLDS(message, "train/4: damaged");
      EXPECT_HOLDS(message, "--skip-bad");
    }
  }
}

TEST(Predict, AnswersThatAreNotFiniteAreAnError) {
  const ScratchFolder folder;
  const SmallSet set(folder / "set");
  const Dataset dataset(folder / "set");
  const LoadedModel model = small_model();
  model.network->parameters().back()->value.data_ptr<float>()[0] =
      std::numeric_limits<float>::infinity();
  const auto comm = make_solo_communicator(Traffic::control);
  const std::string text = error_of(ExitCode::numbers, [&] {
    predict(model, images_of_split(dataset, Split::test), {}, {line_of, [](const std::string&) {}},
            *comm);
  });
  EXPECT_HOLDS(text, "test/0");
}

TEST(Predict, NothingToDoIsDone) {
  const LoadedModel model = small_model();
  const Outcome outcome = outcome_of(model, images_of_files({}, {3, 5, 7}, {}, 100), {}, 2);
  EXPECT_EQ(outcome.text, "");
  EXPECT_TRUE(outcome.skipped.empty());
}

}  // namespace
}  // namespace bitstill
