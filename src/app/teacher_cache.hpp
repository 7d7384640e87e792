// A logit cache as the settings of a job see it.
#pragma once

#include <memory>
#include <span>
#include <string>

#include "bitstill/config/run_config.hpp"
#include "bitstill/data/dataset.hpp"
#include "bitstill/teacher/logit_cache.hpp"

namespace bitstill {

/// What a cache for students of `config` hangs on, as far as settings and shards say.
/// `lengths`: of train's sentences; of images none.
CacheFacts cache_facts(const RunConfig& config, const Dataset& dataset,
                       std::span<const SentenceLengths> lengths);

/// config.teacher_cache, opened. teacher_sha256, teacher_samples: of teacher.file; empty: not
/// known. `world`: how many ranks there are. Where data.augment_seed is not given, the cache's
/// holds. Error(settings) when the cache does not fit, Error(data) when it is damaged.
std::unique_ptr<LogitCache> open_cache_for(const RunConfig& config, const Dataset& dataset,
                                           std::span<const SentenceLengths> lengths,
                                           const std::string& teacher_sha256,
                                           const std::string& teacher_samples, int64_t world);

/// "all logits", "the 8 largest logits at T = 2".
std::string kept_text(int64_t top, double temperature);
/// "600 samples in 2 variants, all logits", "408123 target tokens, the 8 largest logits at T = 1".
std::string held_text(const CachedFacts& cache);

}  // namespace bitstill
