#include "bitstill/infer/evaluate.hpp"

#include <algorithm>
#include <exception>
#include <iterator>
#include <memory>
#include <numeric>

#include "bitstill/comm/agree.hpp"
#include "bitstill/infer/logits.hpp"
#include "evaluate_sentences.hpp"

namespace bitstill {
namespace {

BatchPlan batches_between(int64_t first, int64_t end, int64_t samples, int64_t size) {
  return [=](int64_t n, std::vector<int64_t>* rows, int64_t* epoch) {
    if (first + n >= end) return false;
    *epoch = 0;
    const int64_t from = (first + n) * size;
    rows->resize(static_cast<std::size_t>(std::min(size, samples - from)));
    std::iota(rows->begin(), rows->end(), from);
    return true;
  };
}

/// The next ones, at most `count`.
std::vector<Batch> read(Prefetcher& prefetcher, int64_t count) {
  std::vector<Batch> batches;
  for (Batch batch; std::ssize(batches) < count && prefetcher.next(&batch);) {
    batches.push_back(std::move(batch));
  }
  return batches;
}

/// Given a batch with what each predictor says of it.
using TakeBatch = std::function<void(const Batch&, std::span<const Logits>)>;

/// This rank's batches of the split, in order. What fails on one rank alone is, at the end, every
/// rank's error.
void each_batch(const Dataset& dataset, Split split, const EvaluateOptions& options,
                Communicator& comm, std::span<Predictor* const> predictors, const TakeBatch& take) {
  const bool together = std::any_of(predictors.begin(), predictors.end(),
                                    [](const Predictor* one) { return one->collective(); });
  const int64_t samples = dataset.size(split), world = comm.world();
  const int64_t all = (samples + options.batch - 1) / options.batch;
  const int64_t first = all * comm.rank() / world, end = all * (comm.rank() + 1) / world;
  const int64_t passes = together ? (all + world - 1) / world : end - first;
  const int64_t size = together ? options.sweep : 1;
  Prefetcher prefetcher(dataset, split, batches_between(first, end, samples, options.batch),
                        dataset.decoder(), 2);
  std::exception_ptr failure;
  const auto guarded = [&](const auto& work) {
    try {
      if (!failure) work();
    } catch (...) {
      failure = std::current_exception();
    }
  };
  for (int64_t pass = 0; pass < passes && (together || !failure); pass += size) {
    std::vector<Batch> batches;
    guarded([&] { batches = read(prefetcher, size); });
    std::vector<std::vector<Logits>> answers;  // [predictor][batch]
    const auto ask_all = [&] {
      for (Predictor* const one : predictors) {
        answers.push_back(ask(*one, batches, dataset.index().shape, options.device,
                              options.channels_last, pass + size < passes));
      }
    };
    // Where other ranks wait inside the answer, only the end of the job ends it.
    if (together) {
      ask_all();
    } else {
      guarded(ask_all);
    }
    guarded([&] {
      for (std::size_t i = 0; i < batches.size(); ++i) {
        std::vector<Logits> of_batch;
        for (auto& of_predictor : answers) of_batch.push_back(std::move(of_predictor[i]));
        take(batches[i], of_batch);
        if (options.progress) options.progress(false);
      }
    });
  }
  if (options.progress) options.progress(true);
  agree(comm, [&] {
    if (failure) std::rethrow_exception(failure);
  });
}

void sum_over_ranks(std::vector<int64_t>& sums, Communicator& comm) {
  comm.all_reduce(sums.data(), static_cast<int64_t>(sums.size()), ElementType::i64);
}

void sum_over_ranks(PairCounts& pairs, Communicator& comm) {
  std::vector<int64_t> sums;
  for (const int64_t* part : pairs.sums()) sums.push_back(*part);
  sum_over_ranks(sums, comm);
  auto next = sums.begin();
  for (int64_t* part : pairs.sums()) *part = *next++;
}

void add_batch(const Logits& model, const Logits* reference, const Batch& batch,
               FullEvaluation* result) {
  for (int64_t i = 0; i < batch.count(); ++i) {
    const int64_t label = batch.labels[static_cast<std::size_t>(i)];
    const SampleScore score = score_sample(model.row(i), label);
    result->model.add(score, label);
    if (reference == nullptr) continue;
    const SampleScore other = score_sample(reference->row(i), label);
    result->against->reference.add(other, label);
    const double kl = kl_divergence(log_softmax(reference->row(i)), log_softmax(model.row(i)));
    result->against->pairs.add(other, score, label, kl);
  }
}

/// This rank's.
ClassificationCounts count_images(const Network& network, const Dataset& dataset, Split split,
                                  const EvaluateOptions& options, Communicator& comm) {
  ClassificationCounts counts;
  const std::unique_ptr<Predictor> predictor = make_predictor(network);
  Predictor* const only[] = {predictor.get()};
  each_batch(dataset, split, options, comm, only,
             [&](const Batch& batch, std::span<const Logits> answers) {
               for (int64_t i = 0; i < batch.count(); ++i) {
                 const int64_t label = batch.labels[static_cast<std::size_t>(i)];
                 const SampleScore score = score_sample(answers[0].row(i), label);
                 counts.samples += 1;
                 counts.correct += score.predicted == label ? 1 : 0;
                 counts.add_loss(score.loss);
               }
             });
  return counts;
}

}  // namespace

ClassificationCounts evaluate(const Network& network, const Dataset& dataset, Split split,
                              const EvaluateOptions& options, Communicator& comm) {
  const auto count = of_sentences(network.spec()) ? count_tokens : count_images;
  const ClassificationCounts mine = count(network, dataset, split, options, comm);
  std::vector<int64_t> sums = {mine.samples, mine.correct, mine.loss_units};
  sum_over_ranks(sums, comm);
  return {sums[0], sums[1], sums[2]};
}

FullEvaluation evaluate_fully(Predictor& model, Predictor* reference, const Dataset& dataset,
                              Split split, const EvaluateOptions& options, Communicator& comm) {
  const auto classes = static_cast<int64_t>(dataset.index().classes.size());
  FullEvaluation result{ClassificationTally(classes), {}};
  std::vector<Predictor*> asked = {&model};
  if (reference != nullptr) {
    result.against = {ClassificationTally(classes), PairCounts()};
    asked.push_back(reference);
  }
  each_batch(dataset, split, options, comm, asked,
             [&](const Batch& batch, std::span<const Logits> answers) {
               add_batch(answers[0], answers.size() > 1 ? &answers[1] : nullptr, batch, &result);
             });
  sum_over_ranks(result.model.sums(), comm);
  if (result.against) {
    sum_over_ranks(result.against->reference.sums(), comm);
    sum_over_ranks(result.against->pairs, comm);
  }
  return result;
}

}  // namespace bitstill
