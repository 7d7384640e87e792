#include <ATen/Parallel.h>

#include <limits>

#include "../data/data_fixture.hpp"
#include "bitstill/comm/solo.hpp"
#include "bitstill/comm/thread_world.hpp"
#include "bitstill/infer/evaluate.hpp"
#include "bitstill/infer/logits.hpp"
#include "bitstill/model/weights.hpp"

namespace bitstill {
namespace {

/// A random network for SmallSet, with a normalization of its own.
LoadedModel model_of(uint64_t seed, int64_t hidden) {
  NetworkSpec spec;
  spec.input = {3, 5, 7};
  spec.classes = 3;
  spec.widths = {4};
  spec.kernels = {3};
  spec.hidden = {hidden};
  const auto mean = static_cast<float>(seed) / 16;
  spec.normalization = {{mean, .4f, .3f}, {.2f, .3f, .25f}};
  LoadedModel model;
  model.network = make_network(spec);
  initialize(*model.network, seed);
  model.classes = {"ant", "bee", "cat"};
  return model;
}

/// Logits of one sample of a batch of exactly these rows.
Logits ask(const LoadedModel& model, const Dataset& dataset, const std::vector<int64_t>& rows) {
  Batch batch;
  batch.rows = rows;
  const Rows read = read_rows(dataset, Split::train, rows);
  batch.pixels = read.pixels;
  batch.labels = read.labels;
  return forward_batch(*model.network, batch, at::kCPU, true);
}

TEST(FullEvaluation, EqualsAPlainLoopAtEveryWorldSize) {
  const ScratchFolder folder;
  const SmallSet set(folder / "set");
  const Dataset dataset(folder / "set");
  at::set_num_threads(1);
  const LoadedModel model = model_of(3, 8), reference = model_of(5, 16);
  EvaluateOptions options;
  options.batch = 4;
  ClassificationTally plain(3), plain_reference(3);
  PairCounts pairs;
  for (int64_t from = 0; from < 23; from += 4) {
    std::vector<int64_t> rows;
    for (int64_t i = from; i < std::min<int64_t>(23, from + 4); ++i) rows.push_back(i);
    const Logits mine = ask(model, dataset, rows), theirs = ask(reference, dataset, rows);
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const int64_t label = set.rows[0].labels[static_cast<std::size_t>(rows[i])];
      const auto at = static_cast<int64_t>(i);
      const SampleScore one = score_sample(mine.row(at), label);
      const SampleScore other = score_sample(theirs.row(at), label);
      plain.add(one, label);
      plain_reference.add(other, label);
      pairs.add(other, one, label,
                kl_divergence(log_softmax(theirs.row(at)), log_softmax(mine.row(at))));
    }
  }
  EXPECT_GT(pairs.kl_units, 0);
  EXPECT_LT(pairs.same, 23);
  for (const int world : {1, 2, 3, 9}) {
    run_as_ranks(world, [&](Communicator& rank) {
      at::set_num_threads(1);
      FullEvaluation full = evaluate_fully(model, &reference, dataset, Split::train, options, rank);
      EXPECT_EQ(full.model.sums(), plain.sums());
      ASSERT_TRUE(full.against.has_value());
      EXPECT_EQ(full.against->reference.sums(), plain_reference.sums());
      const auto got = full.against->pairs.sums(), expected = pairs.sums();
      for (std::size_t i = 0; i < got.size(); ++i) EXPECT_EQ(*got[i], *expected[i]) << i;
      const ClassificationCounts counts =
          evaluate(*model.network, dataset, Split::train, options, rank);
      EXPECT_EQ(counts.correct, full.model.counts().correct);
      EXPECT_EQ(counts.loss_units, full.model.counts().loss_units);
    });
  }
}

TEST(FullEvaluation, AModelAgainstItselfIsTheSame) {
  const ScratchFolder folder;
  const SmallSet set(folder / "set");
  const Dataset dataset(folder / "set");
  const LoadedModel model = model_of(3, 8);
  const auto comm = make_solo_communicator(Traffic::control);
  const FullEvaluation full = evaluate_fully(model, &model, dataset, Split::test, {}, *comm);
  ASSERT_TRUE(full.against.has_value());
  const PairCounts& pairs = full.against->pairs;
  EXPECT_EQ(pairs.samples(), 5);
  EXPECT_EQ(pairs.same, 5);
  EXPECT_EQ(pairs.kl_units, 0);
  EXPECT_EQ(pairs.only_model + pairs.only_reference, 0);
  const FullEvaluation alone = evaluate_fully(model, nullptr, dataset, Split::test, {}, *comm);
  EXPECT_FALSE(alone.against.has_value());
  EXPECT_EQ(alone.model.counts().correct, full.model.counts().correct);
}

TEST(FullEvaluation, WeightsThatAreNotFiniteAreNeverRight) {
  const ScratchFolder folder;
  const SmallSet set(folder / "set");
  const Dataset dataset(folder / "set");
  const LoadedModel model = model_of(3, 8);
  model.network->parameters().back()->value.data_ptr<float>()[1] =
      std::numeric_limits<float>::quiet_NaN();
  const auto comm = make_solo_communicator(Traffic::control);
  const FullEvaluation full = evaluate_fully(model, nullptr, dataset, Split::train, {}, *comm);
  EXPECT_EQ(full.model.not_finite(), 23);
  const ClassificationCounts counts = evaluate(*model.network, dataset, Split::train, {}, *comm);
  EXPECT_EQ(counts.samples, 23);
  EXPECT_EQ(counts.correct, 0);
  EXPECT_EQ(counts.mean_loss(), 0x1p20);
}

}  // namespace
}  // namespace bitstill
