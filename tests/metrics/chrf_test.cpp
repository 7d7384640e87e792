#include "bitstill/metrics/chrf.hpp"

#include <gtest/gtest.h>

#include "golden_scores.hpp"

namespace bitstill {
namespace {

TEST(Chrf, ScoresAreThoseOfSacrebleu) {
  const Json golden = golden_scores();
  for (const Json& group : golden["groups"]) {
    SCOPED_TRACE(text_of(group, "name"));
    EXPECT_NEAR(counts_of_group<ChrfCounts>(group, chrf_counts).score(),
                group["chrf"].get<double>(), 1e-9);
    for (const Json& pair : group["pairs"]) {
      EXPECT_NEAR(chrf_counts(text_of(pair, "hypothesis"), text_of(pair, "reference")).score(),
                  pair["chrf"].get<double>(), 1e-9)
          << pair.dump();
    }
  }
  EXPECT_EQ(chrf_signature(), text_of(golden, "chrf_signature"));
}

TEST(Chrf, CountsCharactersAndNoWhiteSpace) {
  const ChrfCounts counts = chrf_counts("äb c", "ä bcd");
  EXPECT_EQ(counts.sums, (std::array<int64_t, 18>{3, 4, 3, 2, 3, 2, 1, 2, 1, 0, 1, 0}));
  // Means over n = 1, 2, 3, where both have runs: precision 1, recall (3/4 + 2/3 + 1/2) / 3.
  const double recall = (3.0 / 4 + 2.0 / 3 + 1.0 / 2) / 3;
  EXPECT_NEAR(counts.score(), 100 * 5 * recall / (4 + recall), 1e-12);
}

}  // namespace
}  // namespace bitstill
