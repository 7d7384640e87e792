// P9: a step whose soft targets are read from a logit cache, over the same step without a teacher.
#include <ATen/ops/randn.h>

#include <algorithm>

#include "bitstill/base/file.hpp"
#include "bitstill/base/text.hpp"
#include "bitstill/bench/process.hpp"
#include "bitstill/teacher/logit_cache.hpp"
#include "random_cache.hpp"
#include "rows.hpp"

namespace bitstill {

std::unique_ptr<Teacher> random_cached_teacher(const Dataset& dataset, const std::string& folder,
                                               const at::Device& device) {
  CacheFacts facts;
  facts.precision = precision_name(InferencePrecision::fp32);
  facts.normalization = dataset.index().normalization;
  facts.augmentation.seed = 0;
  facts.samples = dataset.size(Split::train);
  facts.classes = static_cast<int64_t>(dataset.index().classes.size());
  make_folder(folder);
  CacheWriter writer(folder, facts, 0, {0, facts.rows()});
  writer.add(0, at::randn({facts.rows(), facts.classes}));
  writer.finish();
  write_cache_index(folder, facts, {{0, facts.rows()}});
  return make_cached_teacher(std::make_unique<LogitCache>(folder), device);
}

Row bench_cached_step(const BenchOptions& options) {
  Row row;
  row.against = "the same step by cross-entropy alone, in turn; both read and check their images";
  row.conditions = {
      {"ranks", kStepRanks}, {"threads", 1}, {"rounds", options.rounds}, {"steps", options.steps}};
  for (const std::string& student : split_list(options.students)) {
    for (const std::string& batch : split_list(options.batches)) {
      const auto lines = run_step({"--student", student, "--batch", batch, "--teacher", "none",
                                   "--cached", "true", "--steps", std::to_string(options.steps),
                                   "--rounds", std::to_string(options.rounds)});
      const std::vector<double> without = lines.at(0)["round_ms"], with = lines.at(1)["round_ms"];
      std::vector<double> ratios;
      for (std::size_t i = 0; i < without.size(); ++i) ratios.push_back(with[i] / without[i]);
      const double least = *std::min_element(without.begin(), without.end());
      row.parts.push_back(
          {concat(student, ", batch ", batch),
           median(ratios),
           1.03,
           false,
           {{"without_ms_median", median(without)},
            {"cached_ms_median", median(with)},
            {"value_of_minima", *std::min_element(with.begin(), with.end()) / least},
            {"teacher_ms", lines.at(1)["ms"]["teacher"]}}});
    }
  }
  return row;
}

}  // namespace bitstill
