#include "teacher_cache.hpp"

#include "bitstill/base/text.hpp"
#include "command.hpp"

namespace bitstill {

CacheFacts cache_facts(const RunConfig& config, const Dataset& dataset) {
  CacheFacts facts;
  facts.normalization = config.teacher.normalization;
  facts.processor = instruction_set();
  facts.data = dataset.index().fingerprint;
  facts.augmentation = config.augmentation;
  facts.augmentation.seed = static_cast<int64_t>(augmentation_seed(config));
  facts.variants = facts.augments() ? config.augmentation.variants : 1;
  facts.samples = dataset.size(Split::train);
  facts.classes = static_cast<int64_t>(dataset.index().classes.size());
  facts.temperature = config.distill.temperature;
  return facts;
}

std::unique_ptr<LogitCache> open_cache_for(const RunConfig& config, const Dataset& dataset,
                                           const std::string& teacher_sha256,
                                           const std::string& teacher_samples, int64_t world) {
  CacheFacts wanted = cache_facts(config, dataset);
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
  return cache;
}

std::string kept_text(int64_t top, double temperature) {
  return top == 0 ? "all logits" : concat("the ", top, " largest logits at T = ", temperature);
}

}  // namespace bitstill
