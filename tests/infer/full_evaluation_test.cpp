#include <ATen/Parallel.h>

#include <iterator>
#include <limits>

#include "../data/data_fixture.hpp"
#include "bitstill/comm/solo.hpp"
#include "bitstill/comm/thread_world.hpp"
#include "bitstill/infer/evaluate.hpp"
#include "bitstill/infer/loaded_model.hpp"
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
      const auto mine = make_predictor(*model.network);
      const auto theirs = make_predictor(*reference.network);
      FullEvaluation full =
          evaluate_fully(*mine, theirs.get(), dataset, Split::train, options, rank);
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

/// Answers as a network does, once all ranks have come.
class Together final : public Predictor {
 public:
  Together(const Network& network, Communicator& comm)
      : Predictor(network.spec().normalization), alone_(make_predictor(network)), comm_(comm) {}
  bool collective() const override { return true; }
  std::vector<at::Tensor> logits(std::span<const at::Tensor> batches, bool more) override {
    ++calls;
    asked.push_back(std::ssize(batches));
    last_said_more = more;
    int64_t all = std::ssize(batches);
    comm_.all_reduce(&all, 1, ElementType::i64);
    return alone_->logits(batches, more);
  }
  int64_t calls = 0;
  bool last_said_more = true;
  std::vector<int64_t> asked;  // batches of each call

 private:
  std::unique_ptr<Predictor> alone_;
  Communicator& comm_;
};

TEST(FullEvaluation, RanksThatAnswerTogetherAreAskedEquallyOften) {
  const ScratchFolder folder;
  const SmallSet set(folder / "set");
  const Dataset dataset(folder / "set");
  at::set_num_threads(1);
  const LoadedModel model = model_of(3, 8), reference = model_of(5, 16);
  EvaluateOptions options;
  options.batch = 2;  // 12 batches
  options.sweep = 3;
  const auto alone = make_predictor(*model.network), other = make_predictor(*reference.network);
  const auto comm = make_solo_communicator(Traffic::control);
  FullEvaluation plain = evaluate_fully(*alone, other.get(), dataset, Split::train, options, *comm);
  for (const int world : {1, 2, 3, 5, 13}) {
    std::vector<int64_t> calls(static_cast<std::size_t>(world)), batches(calls);
    run_as_ranks(world, [&](Communicator& rank) {
      at::set_num_threads(1);
      Together together(*model.network, rank);
      const auto theirs = make_predictor(*reference.network);
      FullEvaluation full =
          evaluate_fully(together, theirs.get(), dataset, Split::train, options, rank);
      EXPECT_EQ(full.model.sums(), plain.model.sums());
      EXPECT_EQ(full.against->reference.sums(), plain.against->reference.sums());
      EXPECT_EQ(full.against->pairs.kl_units, plain.against->pairs.kl_units);
      EXPECT_FALSE(together.last_said_more);
      const auto r = static_cast<std::size_t>(rank.rank());
      calls[r] = together.calls;
      for (const int64_t count : together.asked) batches[r] += count;
    });
    int64_t all = 0;
    for (std::size_t r = 0; r < calls.size(); ++r) {
      EXPECT_EQ(calls[r], ((12 + world - 1) / world + 2) / 3) << world << " ranks";
      all += batches[r];
    }
    EXPECT_EQ(all, 12);
  }
}

TEST(FullEvaluation, ARankThatFailsStillAnswersWithTheOthers) {
  const ScratchFolder folder;
  const SmallSet set(folder / "set");
  const Dataset dataset(folder / "set");
  const LoadedModel model = model_of(3, 8);
  run_as_ranks(3, [&](Communicator& rank) {
    EvaluateOptions options;
    options.batch = 1;
    options.sweep = 2;
    options.progress = [&](bool waits) {
      if (!waits && rank.rank() == 1) throw Error(ExitCode::data, "row 9 is damaged");
    };
    Together together(*model.network, rank);
    EXPECT_HOLDS(
        error_of(ExitCode::data,
                 [&] { evaluate_fully(together, nullptr, dataset, Split::train, options, rank); }),
        "row 9 is damaged");
    EXPECT_EQ(together.calls, 4);  // of 8 batches, two at once
  });
}

TEST(FullEvaluation, AModelAgainstItselfIsTheSame) {
  const ScratchFolder folder;
  const SmallSet set(folder / "set");
  const Dataset dataset(folder / "set");
  const LoadedModel model = model_of(3, 8);
  const auto comm = make_solo_communicator(Traffic::control);
  const auto asked = make_predictor(*model.network);
  const FullEvaluation full = evaluate_fully(*asked, asked.get(), dataset, Split::test, {}, *comm);
  ASSERT_TRUE(full.against.has_value());
  const PairCounts& pairs = full.against->pairs;
  EXPECT_EQ(pairs.samples(), 5);
  EXPECT_EQ(pairs.same, 5);
  EXPECT_EQ(pairs.kl_units, 0);
  EXPECT_EQ(pairs.only_model + pairs.only_reference, 0);
  const FullEvaluation alone = evaluate_fully(*asked, nullptr, dataset, Split::test, {}, *comm);
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
  const auto asked = make_predictor(*model.network);
  const FullEvaluation full = evaluate_fully(*asked, nullptr, dataset, Split::train, {}, *comm);
  EXPECT_EQ(full.model.not_finite(), 23);
  const ClassificationCounts counts = evaluate(*model.network, dataset, Split::train, {}, *comm);
  EXPECT_EQ(counts.samples, 23);
  EXPECT_EQ(counts.correct, 0);
  EXPECT_EQ(counts.mean_loss(), 0x1p20);
}

}  // namespace
}  // namespace bitstill
