// T5: what sentences cost beside what they are: padding, and memory where the vocabulary is large.
#include <algorithm>

#include "bitstill/bench/process.hpp"
#include "bitstill/data/dataset.hpp"
#include "bitstill/train/run_plan.hpp"
#include "rows.hpp"
#include "sentence_data.hpp"

namespace bitstill {
namespace {

constexpr int64_t kManyPieces = 50'000, kMicroTokens = 512, kLargeMicroTokens = 2048;

/// What a step's micro-batches of so many tokens have of padding, in percent.
double padding_percent(const std::vector<SentenceLengths>& lengths, int64_t micro_tokens) {
  TrainingOptions options;
  options.train.micro_tokens = micro_tokens;
  options.train.global_tokens = 2048;  // as the recipes
  return 100 * RunPlan(lengths, options, 1).padding();
}

/// Of a process that takes some steps: what it held at most beyond its models.
Part memory_part(const char* name, const Words& more) {
  Words words = {own_path(),
                 "bench",
                 "sentences",
                 "--folder",
                 sentence_data().shards(),
                 "--pieces",
                 std::to_string(kManyPieces),
                 "--warmup",
                 "1",
                 "--steps",
                 "3"};
  words.insert(words.end(), more.begin(), more.end());
  const Json line = json_lines(run_program(words).output).at(0);
  const double model = line["model_mb"].get<double>() + line["teacher_mb"].get<double>();
  const double peak = line["memory_mb"];
  return {name, peak - model, 400, false, {{"peak_mb", peak}, {"model_mb", model}}};
}

}  // namespace

Row bench_sentence_cost(const BenchOptions&) {
  Row row;
  row.against =
      "tokens without padding; the bytes of masters, gradients, optimizer, shadows and teacher";
  row.conditions = {{"pairs", sentence_data().origin()},
                    {"pieces", SentenceData::kPieces},
                    {"pieces of the model in memory", kManyPieces}};
  const std::vector<SentenceLengths> lengths =
      Dataset(sentence_data().shards()).lengths(Split::train);
  row.parts.push_back({"padding, %",
                       padding_percent(lengths, kMicroTokens),
                       2,
                       false,
                       {{"tokens of a micro-batch", kMicroTokens}}});
  row.conditions["padding at micro-batches of 2,048 tokens, %"] =
      padding_percent(lengths, kLargeMicroTokens);
  row.parts.push_back(memory_part("MB beside a 1x256, cross-entropy", {}));
  row.parts.push_back(
      memory_part("MB beside a 1x256 at 4 bits and its teacher, 1x256",
                  {"--methods", "uniform", "--teacher.layers", "1", "--teacher.size", "256"}));
  return row;
}

}  // namespace bitstill
