#include "bitstill/report/evaluation.hpp"

namespace bitstill {
namespace {

/// Members of a proportion: samples, correct, accuracy, low, high.
Json accuracy_json(const ClassificationCounts& counts) {
  const auto [low, high] = wilson_interval(counts.correct, counts.samples);
  return {{"samples", counts.samples},
          {"correct", counts.correct},
          {"accuracy", counts.accuracy()},
          {"low", low},
          {"high", high}};
}

Json bins_json(const ClassificationTally& tally) {
  Json bins = Json::array();
  for (int64_t b = 0; b < kConfidenceBins; ++b) {
    const ConfidenceBin bin = tally.bin(b);
    bins.push_back(
        {{"samples", bin.samples}, {"correct", bin.correct}, {"confidence", bin.confidence}});
  }
  return bins;
}

Json matrix_json(const ClassificationTally& tally) {
  if (!tally.has_confusion()) return nullptr;
  Json matrix = Json::array();
  for (int64_t label = 0; label < tally.classes(); ++label) {
    Json row = Json::array();
    for (int64_t c = 0; c < tally.classes(); ++c) row.push_back(tally.confusion(label, c));
    matrix.push_back(std::move(row));
  }
  return matrix;
}

Json model_json(const MeasuredModel& model) {
  const ClassificationTally& tally = model.tally;
  Json json = {{"file", model.file}, {"bytes", model.bytes}};
  json.update(accuracy_json(tally.counts()));
  json["cross_entropy"] = tally.counts().mean_loss();
  json["top"] = tally.top();
  json["top_accuracy"] = ClassificationCounts{tally.counts().samples, tally.in_top(), 0}.accuracy();
  json["calibration_error"] = tally.calibration_error();
  return json;
}

Json against_json(const EvaluationFacts& facts) {
  const auto& [reference, pairs] = *facts.against;
  const auto [low, high] = difference_interval(pairs);
  Json json = model_json(reference);
  json["difference"] = pairs.difference();
  json["difference_low"] = low;
  json["difference_high"] = high;
  json["p"] = mcnemar_p(pairs.only_reference, pairs.only_model);
  json["agreement"] = pairs.agreement();
  json["kl"] = pairs.mean_kl();
  json["both"] = pairs.both;
  json["only_reference"] = pairs.only_reference;
  json["only_model"] = pairs.only_model;
  json["neither"] = pairs.neither;
  json["classes_that_lost"] = Json::array();
  for (const ClassLoss& lost :
       classes_that_lost(reference.tally, facts.model.tally, facts.classes.size())) {
    json["classes_that_lost"].push_back(
        {{"name", facts.classes.at(static_cast<std::size_t>(lost.label))},
         {"samples", lost.samples},
         {"reference", lost.reference},
         {"model", lost.model}});
  }
  return json;
}

}  // namespace

Json evaluation_json(const EvaluationFacts& facts) {
  const ClassificationTally& tally = facts.model.tally;
  Json json = model_json(facts.model);
  json["data"] = facts.data;
  json["split"] = facts.split;
  json["calibration_bins"] = bins_json(tally);
  json["classes"] = Json::array();
  for (int64_t c = 0; c < tally.classes(); ++c) {
    Json one = {{"name", facts.classes.at(static_cast<std::size_t>(c))}};
    one.update(accuracy_json(tally.of_class(c)));
    json["classes"].push_back(std::move(one));
  }
  json["confusion"] = matrix_json(tally);
  if (facts.against) json["against"] = against_json(facts);
  return json;
}

}  // namespace bitstill
