#include "teacher_cache.hpp"

#include "bitstill/base/text.hpp"
#include "command.hpp"

namespace bitstill {

CacheFacts cache_facts(const RunConfig& config, const Dataset& dataset,
                       std::span<const SentenceLengths> lengths) {
  CacheFacts facts;
  facts.normalization = config.teacher.normalization;
  facts.processor = instruction_set();
  facts.data = dataset.index().fingerprint;
  facts.augmentation = config.augmentation;
  facts.augmentation.seed = static_cast<int64_t>(augmentation_seed(config));
  facts.variants = facts.augments() ? config.augmentation.variants : 1;
  facts.samples = dataset.size(Split::train);
  facts.classes = config.model.classes;
  for (const SentenceLengths& pair : lengths) facts.terms += pair.target + 1;
  facts.temperature = config.distill.temperature;
  return facts;
}

std::unique_ptr<LogitCache> open_cache_for(const RunConfig& config, const Dataset& dataset,
                                           std::span<const SentenceLengths> lengths,
                                           const std::string& teacher_sha256,
                                           const std::string& teacher_samples, int64_t world) {
  CacheFacts wanted = cache_facts(config, dataset, lengths);
  const TrainOptions& train = config.train;
  wanted.batch = train.micro_batch > 0 ? train.micro_batch : train.global_batch / world;
  wanted.teacher_sha256 = teacher_sha256;
  wanted.teacher_samples = teacher_samples;
  if (config.teacher_precision != TeacherPrecision::automatic) {
    wanted.precision = word(config.teacher_precision);
  }
  auto cache = std::make_unique<LogitCache>(config.teacher_cache);
  if (config.augmentation.seed < 0) {
    wanted.augmentation.seed = cache->facts().augmentation.seed;
  }
  require_fits(*cache, wanted);
  if (dataset.index().content == Content::tokens) cache->set_lengths(lengths);
  return cache;
}

std::string kept_text(int64_t top, double temperature) {
  return top == 0 ? "all logits" : concat("the ", top, " largest logits at T = ", temperature);
}

std::string held_text(const CachedFacts& cache) {
  const std::string kept = kept_text(cache.top, cache.temperature);
  if (cache.terms > 0) return concat(cache.terms, " target tokens, ", kept);
  return concat(cache.samples, " samples in ", cache.variants, " variants, ", kept);
}

}  // namespace bitstill
