#include "bitstill/metrics/bleu.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "golden_scores.hpp"

namespace bitstill {
namespace {

using Lines = std::vector<std::string>;

TEST(Bleu, WordsAreThoseOfSacrebleu) {
  const Json golden = golden_scores();
  int compared = 0;
  for (const Json& group : golden["groups"]) {
    for (const Json& pair : group["pairs"]) {
      EXPECT_EQ(words_13a(text_of(pair, "hypothesis")), pair["words"].get<Lines>());
      ++compared;
    }
  }
  EXPECT_GT(compared, 60);
}

TEST(Bleu, ScoresAreThoseOfSacrebleu) {
  const Json golden = golden_scores();
  for (const Json& group : golden["groups"]) {
    SCOPED_TRACE(text_of(group, "name"));
    for (const auto& [kind, name] :
         {std::pair{BleuKind::sacre, "bleu"}, {BleuKind::multi, "multi"}}) {
      const auto count = [kind = kind](const std::string& hypothesis,
                                       const std::string& reference) {
        return bleu_counts(hypothesis, reference, kind);
      };
      const auto sum = counts_of_group<BleuCounts>(group, count);
      EXPECT_NEAR(sum.score(kind), group[name].get<double>(), 1e-9) << name;
      for (const Json& pair : group["pairs"]) {
        const std::string hypothesis = text_of(pair, "hypothesis");
        EXPECT_NEAR(count(hypothesis, text_of(pair, "reference")).score(kind),
                    pair[name].get<double>(), 1e-9)
            << name << " of " << hypothesis;
      }
    }
  }
  EXPECT_EQ(bleu_signature(), text_of(golden, "bleu_signature"));
}

TEST(Bleu, IsTheFormulaOnAWorkedExample) {
  // 7 words against 6: 5 of 7 words, 3 of 6 pairs, 2 of 5, 1 of 4; long enough.
  const BleuCounts counts = bleu_counts("the cat sat on the red mat", "the cat sat on a mat");
  EXPECT_EQ(counts.words(), 7);
  EXPECT_EQ(counts.reference_words(), 6);
  EXPECT_NEAR(counts.score(), 100 * std::pow(5.0 / 7 * 3 / 6 * 2 / 5 * 1 / 4, 0.25), 1e-12);
  const BleuCounts less = bleu_counts("the cat sat on", "the cat sat on a mat");
  EXPECT_NEAR(less.score(), 100 * std::exp(1 - 6.0 / 4), 1e-12);
}

TEST(Bleu, SumsAreTheSameHoweverSentencesAreDealt) {
  const Json golden = golden_scores();
  const Json& group = golden["groups"].back();
  const Json& pairs = group["pairs"];
  BleuCounts ranks[3], sum;
  for (std::size_t i = 0; i < pairs.size(); ++i) {
    ranks[i % 3] += bleu_counts(text_of(pairs[i], "hypothesis"), text_of(pairs[i], "reference"));
  }
  for (const int rank : {2, 0, 1}) sum += ranks[rank];
  const auto whole = counts_of_group<BleuCounts>(
      group, [](const auto& ours, const auto& theirs) { return bleu_counts(ours, theirs); });
  EXPECT_EQ(sum.sums, whole.sums);
}

TEST(Bleu, BytesThatAreNotUtf8AreWordsLikeOthers) {
  const BleuCounts counts = bleu_counts("a \xff\xfe b c \x80", "a \xff\xfe b c \x80");
  EXPECT_EQ(counts.words(), 5);
  EXPECT_NEAR(counts.score(), 100, 1e-9);
}

}  // namespace
}  // namespace bitstill
