// The likeliest translations that a step-wise decoder is found to give: greedy and beam search.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "bitstill/base/words.hpp"
#include "bitstill/model/step_decoder.hpp"

namespace bitstill {

struct SearchOptions {
  int64_t beam = 5;  // hypotheses of a sentence that are followed; 1: the likeliest token each time
  int64_t n_best = 1;
  /// Hypotheses are ranked by log p / ((5 + |y|) / 6)^length_penalty, |y| the tokens with </s> (Wu
  /// et al. 2016); 0: by log p.
  double length_penalty = 0.6;
  int64_t most_tokens = 500;  // of a translation, as most_tokens_of() has it
};

template <ConstOr<SearchOptions> Options, class Visit>
void visit_settings(Options& options, const Visit& visit) {
  visit("beam", options.beam, "hypotheses followed of each sentence; 1: greedy");
  visit("n-best", options.n_best, "translations of each line, the best first, at most beam");
  visit("length-penalty", options.length_penalty,
        "a of the rank log p / ((5 + tokens) / 6)^a; 0: none, short ones win");
  visit("most-tokens", options.most_tokens,
        "of a translation, at most; never above 3 x the source's + 20");
}

/// Error(settings) for what is out of range.
void check(const SearchOptions& options);

/// Tokens that a translation of `source` tokens may have, without </s>: 3 * source + 20, at most
/// options.most_tokens.
int64_t most_tokens_of(int64_t source, const SearchOptions& options);

/// log p over the length penalty, of a hypothesis of `tokens` tokens with </s>.
double normalized_score(double score, int64_t tokens, const SearchOptions& options);

struct Hypothesis {
  std::vector<int32_t> ids;  // without </s>
  double score = 0;          // log p of ids and </s>, natural
  double normalized = 0;     // what ranks it
};

/// Of each sentence its hypotheses, the best first, n_best of them or as many as were found (at
/// least one).
///
/// A step continues a sentence's live hypotheses by every id but <s> and keeps the `beam` best by
/// log p, sums in double; of equal ones the lower id, then the lower hypothesis. What ends with
/// </s> is finished, the others live on; at the most tokens only </s> is left. A sentence is done
/// once `beam` hypotheses are finished, none lives, or none that lives can still come among the
/// n_best; hypotheses of equal rank stand in the order in which they were finished. A sentence's
/// result does not depend on the others.
///
/// sources: to_tokens() of pairs without targets, n sentences. Error(numbers) where an answer is
/// not finite.
std::vector<std::vector<Hypothesis>> search(StepDecoder& decoder, const Tokens& sources,
                                            const TargetEnds& ends, const SearchOptions& options);

}  // namespace bitstill
