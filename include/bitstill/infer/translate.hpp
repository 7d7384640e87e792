// Lines in, translations out, the work divided over ranks.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "bitstill/comm/communicator.hpp"
#include "bitstill/infer/model_vocabulary.hpp"
#include "bitstill/infer/search.hpp"

namespace bitstill {

/// The sentences of a text, a line each: without line ends (LF or CR LF) and a byte-order mark.
/// Error(data) naming `where` and the line: no UTF-8, NUL, above 1 MB.
std::vector<std::string> sentence_lines(std::string_view text, const std::string& where);

struct TranslateOptions {
  SearchOptions search;
  int64_t batch_tokens = 16'000;  // sentences x the longest's tokens x beam of a batch, at most
  int64_t batch_rows = 512;       // sentences x beam
  at::Device device = at::kCPU;
  /// On each rank before each of its batches and at the end: batches done, of all its own.
  std::function<void(int64_t done, int64_t all)> progress;
  /// On the rank that found a sentence's hypotheses: may leave fewer, at least one.
  std::function<void(int64_t sentence, std::vector<Hypothesis>* hypotheses)> refine;
};

/// Batches of sentences (their numbers) of about the same length, the longest first; of equal ones
/// in order. Those without tokens are left out. A single sentence may be above the bounds. The same
/// for every world size.
std::vector<std::vector<int64_t>> translation_batches(std::span<const int64_t> lengths,
                                                      const TranslateOptions& options);

/// A sentence's tokens, by its number.
using TokensOf = std::function<std::vector<int32_t>(int64_t sentence)>;

/// Of each sentence its hypotheses, the best first, on rank 0; elsewhere nothing. One without
/// tokens is not asked about and has one empty hypothesis. The same for every world size, whose
/// ranks give the same lengths and tokens: batch b is rank b % world's. What fails on a rank ends
/// the job on all. Collective: every rank of comm calls this.
std::vector<std::vector<Hypothesis>> translate_tokens(StepDecoder& decoder, const TargetEnds& ends,
                                                      std::span<const int64_t> lengths,
                                                      const TokensOf& tokens_of,
                                                      const TranslateOptions& options,
                                                      Communicator& comm);

struct Translation {
  std::string text;                  // one line
  double score = 0, normalized = 0;  // as Hypothesis has them
};

/// The same of lines, as text.
std::vector<std::vector<Translation>> translate(StepDecoder& decoder,
                                                const VocabularyPair& vocabularies,
                                                const std::vector<std::string>& lines,
                                                const TranslateOptions& options,
                                                Communicator& comm);

}  // namespace bitstill
