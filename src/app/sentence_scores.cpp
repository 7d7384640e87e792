#include "sentence_scores.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <numeric>

#include "bitstill/base/text.hpp"
#include "bitstill/comm/agree.hpp"
#include "bitstill/infer/evaluate.hpp"
#include "bitstill/store/checkpoint_folder.hpp"
#include "bitstill/train/run_records.hpp"

namespace bitstill {
namespace {

/// How often each target piece stands in a split, and in its place behind the last a sentence's
/// end.
std::vector<int64_t> target_counts(const Dataset& shards, Split split) {
  constexpr int64_t kRows = 1000;
  const int64_t rows = shards.size(split), pieces = shards.index().vocabularies.back().pieces;
  std::vector<int64_t> counts(static_cast<std::size_t>(pieces) + 1);
  for (int64_t first = 0; first < rows; first += kRows) {
    std::vector<int64_t> some(static_cast<std::size_t>(std::min(kRows, rows - first)));
    std::iota(some.begin(), some.end(), first);
    const Batch batch = read_batch(shards, split, std::move(some));
    auto token = batch.tokens.begin();
    for (const SentenceLengths& lengths : batch.lengths) {
      token += lengths.source;
      for (int32_t i = 0; i < lengths.target; ++i) ++counts[static_cast<std::size_t>(*token++)];
      ++counts.back();
    }
  }
  return counts;
}

/// A split's target tokens by their shares of train, each piece counted once more.
ClassificationCounts unigram_counts(const Dataset& shards, Split split) {
  const std::vector<int64_t> known = target_counts(shards, Split::train),
                             asked = target_counts(shards, split);
  const auto total = static_cast<double>(std::accumulate(known.begin(), known.end(), int64_t{0}) +
                                         static_cast<int64_t>(known.size()));
  const auto usual = std::max_element(known.begin(), known.end()) - known.begin();
  ClassificationCounts counts;
  for (std::size_t piece = 0; piece < asked.size(); ++piece) {
    ClassificationCounts one;
    one.add_loss(-std::log(static_cast<double>(known[piece] + 1) / total));
    counts += {asked[piece], 0, asked[piece] * one.loss_units};
  }
  counts.correct = asked[static_cast<std::size_t>(usual)];
  return counts;
}

/// Collective.
Json file_scores(World& world, const ScoredFile& file, Dataset& shards,
                 const SentenceScoreOptions& options, ClassificationCounts* counts) {
  Communicator& control = world.control();
  EvaluateOptions pass;
  pass.device = options.device;
  pass.progress = options.progress;
  LoadedModel model;
  std::string path, digest;
  agree(control, [&] {
    path = model_path(file.path);
    digest = model_sha256(path);
    model = load_model_for(path, file.section, file.settings, &shards, options.device);
  });
  require_equal(control, {{path, digest}}, ExitCode::model);
  *counts = evaluate(*model.network, shards, options.split, pass, control);
  return {{"file", path}, {"bytes", model.file_bytes}};
}

}  // namespace

void print_sentence_scores(World& world, const std::vector<ScoredFile>& files, Dataset& shards,
                           const SentenceScoreOptions& options) {
  const bool writes = world.place().rank == 0;
  Json all = Json::array();
  const auto add = [&](Json line, const std::string& name, const ClassificationCounts& counts) {
    line["split"] = word(options.split);
    line.update(counts_json(counts, true));
    all.push_back(std::move(line));
    if (!writes || options.json) return;
    std::printf("%s: %s of %s, %lld sentences\n", name.c_str(), perplexity_text(counts).c_str(),
                word(options.split), static_cast<long long>(shards.size(options.split)));
  };
  for (const ScoredFile& file : files) {
    ClassificationCounts counts;
    const Json line = file_scores(world, file, shards, options, &counts);
    add(line,
        concat(line["file"].get<std::string>(), " (", human_bytes(line["bytes"].get<double>()),
               ")"),
        counts);
  }
  if (options.unigram) {
    agree(world.control(), [&] {
      if (writes) {
        add({{"model", "unigram"}}, "a unigram model of train",
            unigram_counts(shards, options.split));
      }
    });
  }
  if (writes && options.json) std::printf("%s\n", all.dump(1).c_str());
}

}  // namespace bitstill
