// Sequence-level distillation (Kim and Rush 2016): shards whose training targets are a teacher's
// translations.
#pragma once

#include <functional>
#include <string>

#include "bitstill/base/json.hpp"
#include "bitstill/data/dataset.hpp"
#include "bitstill/infer/translate.hpp"
#include "bitstill/metrics/bleu.hpp"

namespace bitstill {

struct TranslatedShardsOptions {
  TranslateOptions translate;  // the best one becomes the target
  std::string out;             // the folder to make
  bool interpolate = false;    // instead the one of all n-best nearest the old target, by BLEU
  int64_t part_rows = 16'384;  // that are lost at most where it is stopped
  /// What else decides the translations, such as the model's SHA-256: finished parts that were made
  /// otherwise are not taken over.
  Json made_by;
  /// Asked between parts; the same on all ranks.
  std::function<bool()> stop_requested = [] { return false; };
  /// On rank 0: rows of train that are translated, of all.
  std::function<void(int64_t done, int64_t all)> progress;
};

struct TranslatedShards {
  bool stopped = false;    // the same call continues
  int64_t rows = 0;        // of train
  int64_t kept = 0;        // whose translation is empty: they keep their target
  int64_t taken_over = 0;  // rows of parts that an earlier call finished
  BleuCounts bleu;         // of the new targets, the old ones being right
  int64_t tokens = 0;      // of the new targets
};

/// The data set with the target of each pair of train replaced; validation and test as they are.
/// Parts are kept in OUT.parts until all are there. The same for every world size.
/// Error(settings) where `out` exists, Error(storage). What is returned is rank 0's to tell but for
/// `stopped`. Collective: every rank of comm calls this.
TranslatedShards translate_shards(StepDecoder& decoder, const VocabularyPair& vocabularies,
                                  const Dataset& dataset, const TranslatedShardsOptions& options,
                                  Communicator& comm);

}  // namespace bitstill
