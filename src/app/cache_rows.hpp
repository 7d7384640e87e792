// The rows of a logit cache: a teacher's answers to images in order or sentences by length, a file
// a rank.
#pragma once

#include <span>
#include <string>

#include "bitstill/comm/watchdog.hpp"
#include "bitstill/comm/world.hpp"
#include "bitstill/config/run_config.hpp"
#include "bitstill/data/dataset.hpp"
#include "bitstill/teacher/logit_cache.hpp"

namespace bitstill {

struct CacheWork {
  World& world;
  const RunConfig& config;
  const Dataset& dataset;
  Teacher& teacher;
  const CacheFacts& facts;
  std::span<const SentenceLengths> lengths;  // of train's sentences; of images none
  const std::string& folder;                 // rank 0 has it locked
  bool go_on;                                // with what an earlier writer left there
  at::Device device;
};

struct CacheCost {
  int64_t rows_kept = 0;                    // of all ranks, from an earlier writer
  double seconds = 0, teacher_seconds = 0;  // the slowest rank's
  double divergence = 0;                    // of a row added now: CacheWriter::divergence()
};

/// Asks the teacher about every sample in every variant; the index is written last. Errors are
/// every rank's. Collective: every rank of world calls this.
CacheCost write_cache(const CacheWork& job, Watchdog& watchdog);

}  // namespace bitstill
