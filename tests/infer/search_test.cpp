#include "bitstill/infer/search.hpp"

#include <ATen/ops/from_blob.h>
#include <ATen/ops/full.h>
#include <ATen/ops/log_softmax.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>

#include "../base/thrown_error.hpp"
#include "table_decoder.hpp"

namespace bitstill {
namespace {

constexpr TargetEnds kEnds{1, 2};
using Sentence = std::vector<int32_t>;

Tokens sources_of(const std::vector<Sentence>& sentences) {
  int64_t longest = 0;
  for (const Sentence& one : sentences) longest = std::max(longest, std::ssize(one));
  const auto n = std::ssize(sentences);
  Tokens tokens;
  tokens.source = at::zeros({longest, n}, at::kLong);
  tokens.source_lengths = at::zeros({n}, at::kLong);
  for (int64_t k = 0; k < n; ++k) {
    const Sentence& one = sentences[static_cast<std::size_t>(k)];
    tokens.source_lengths.mutable_data_ptr<int64_t>()[k] = std::ssize(one);
    for (int64_t t = 0; t < std::ssize(one); ++t) {
      tokens.source.mutable_data_ptr<int64_t>()[t * n + k] = one[static_cast<std::size_t>(t)];
    }
  }
  return tokens;
}

/// log p of each id after a history, which begins with a source and <s>.
std::vector<double> log_p(const TableDecoder& table, int64_t pieces, int64_t history) {
  std::vector<float> logits(static_cast<std::size_t>(pieces));
  table.fill(history, logits.data());
  const at::Tensor own = at::log_softmax(at::from_blob(logits.data(), {1, pieces}, at::kFloat), 1);
  return {own.const_data_ptr<float>(), own.const_data_ptr<float>() + pieces};
}

/// Every sentence of at most `most` tokens, unordered.
void enumerate(const TableDecoder& table, int64_t pieces, int64_t history, int64_t most,
               const SearchOptions& options, const Hypothesis& so_far,
               std::vector<Hypothesis>* all) {
  const std::vector<double> next = log_p(table, pieces, history);
  for (int32_t id = 0; id < pieces; ++id) {
    if (id == kEnds.begin) continue;
    Hypothesis one = so_far;
    one.score += next[static_cast<std::size_t>(id)];
    if (id == kEnds.end) {
      one.normalized = normalized_score(one.score, std::ssize(one.ids) + 1, options);
      all->push_back(one);
    } else if (std::ssize(one.ids) < most) {
      one.ids.push_back(id);
      enumerate(table, pieces, TableDecoder::after(history, id), most, options, one, all);
    }
  }
}

std::vector<Hypothesis> enumerated(const TableDecoder& table, int64_t pieces,
                                   const Sentence& source, const SearchOptions& options) {
  std::vector<Hypothesis> all;
  const int64_t start = TableDecoder::after(TableDecoder::of_source(source), kEnds.begin);
  enumerate(table, pieces, start, most_tokens_of(std::ssize(source), options), options, {}, &all);
  std::stable_sort(all.begin(), all.end(), [](const Hypothesis& a, const Hypothesis& b) {
    return a.normalized > b.normalized;
  });
  return all;
}

void expect_same(const std::vector<Hypothesis>& got, const std::vector<Hypothesis>& right) {
  ASSERT_EQ(got.size(), right.size());
  for (std::size_t i = 0; i < got.size(); ++i) {
    EXPECT_EQ(got[i].ids, right[i].ids) << i;
    EXPECT_EQ(got[i].score, right[i].score) << i;
    EXPECT_EQ(got[i].normalized, right[i].normalized) << i;
  }
}

/// The same search, written plainly: all continuations of all hypotheses, sorted; it never ends
/// before all places are finished or nothing lives.
std::vector<Hypothesis> plain_search(const TableDecoder& table, int64_t pieces,
                                     const Sentence& source, const SearchOptions& options) {
  struct Live {
    Hypothesis one;
    int64_t history;
  };
  struct Next {
    Live live;
    int32_t id;
    std::size_t parent;
  };
  const int64_t most = most_tokens_of(std::ssize(source), options);
  std::vector<Live> live = {{{}, TableDecoder::after(TableDecoder::of_source(source), 1)}};
  std::vector<Hypothesis> finished;
  for (int64_t tokens = 0; !live.empty() && std::ssize(finished) < options.beam; ++tokens) {
    std::vector<Next> all;
    for (std::size_t k = 0; k < live.size(); ++k) {
      const std::vector<double> next = log_p(table, pieces, live[k].history);
      for (int32_t id = 0; id < pieces; ++id) {
        if (id == kEnds.begin || (tokens == most && id != kEnds.end)) continue;
        Live one = {live[k].one, TableDecoder::after(live[k].history, id)};
        one.one.score += next[static_cast<std::size_t>(id)];
        all.push_back({one, id, k});
      }
    }
    std::sort(all.begin(), all.end(), [](const Next& a, const Next& b) {
      if (a.live.one.score != b.live.one.score) return a.live.one.score > b.live.one.score;
      return a.id != b.id ? a.id < b.id : a.parent < b.parent;
    });
    if (std::ssize(all) > options.beam) all.resize(static_cast<std::size_t>(options.beam));
    live.clear();
    for (Next& next : all) {
      Hypothesis& one = next.live.one;
      if (next.id == kEnds.end) {
        one.normalized = normalized_score(one.score, tokens + 1, options);
        finished.push_back(one);
      } else {
        one.ids.push_back(next.id);
        live.push_back(next.live);
      }
    }
  }
  std::stable_sort(finished.begin(), finished.end(), [](const Hypothesis& a, const Hypothesis& b) {
    return a.normalized > b.normalized;
  });
  if (std::ssize(finished) > options.n_best) {
    finished.resize(static_cast<std::size_t>(options.n_best));
  }
  return finished;
}

const std::vector<Sentence> kSources = {{7, 5, 3}, {4}, {9, 9}, {6, 0, 0, 8, 3}, {3, 5, 7}, {4, 4}};

TEST(Search, AWideBeamFindsWhatEnumerationFinds) {
  for (const double penalty : {0., 0.6, 1.}) {
    for (const int64_t pieces : {3, 4, 5}) {
      SearchOptions options;
      options.length_penalty = penalty;
      options.most_tokens = pieces == 5 ? 3 : 4;
      options.beam = 700;  // more than there are sentences
      for (const int64_t n_best : {1, 3, 700}) {
        options.n_best = n_best;
        TableDecoder table(pieces);
        const auto found = search(table, sources_of(kSources), kEnds, options);
        for (std::size_t k = 0; k < kSources.size(); ++k) {
          std::vector<Hypothesis> right = enumerated(table, pieces, kSources[k], options);
          ASSERT_LT(right.size(), 700U);
          if (std::ssize(right) > n_best) right.resize(static_cast<std::size_t>(n_best));
          expect_same(found[k], right);
        }
      }
    }
  }
}

TEST(Search, BeamOneTakesTheLikeliestTokenEachTime) {
  SearchOptions options;
  options.beam = 1;
  options.most_tokens = 9;
  for (const int64_t pieces : {3, 17, 300}) {
    TableDecoder table(pieces);
    const auto found = search(table, sources_of(kSources), kEnds, options);
    for (std::size_t k = 0; k < kSources.size(); ++k) {
      Hypothesis right;
      int64_t history = TableDecoder::after(TableDecoder::of_source(kSources[k]), kEnds.begin);
      for (int32_t id = 0; id != kEnds.end; history = TableDecoder::after(history, id)) {
        std::vector<double> next = log_p(table, pieces, history);
        next[static_cast<std::size_t>(kEnds.begin)] = -std::numeric_limits<double>::infinity();
        id = std::ssize(right.ids) == 9
                 ? static_cast<int32_t>(kEnds.end)
                 : static_cast<int32_t>(
                       std::distance(next.begin(), std::max_element(next.begin(), next.end())));
        right.score += next[static_cast<std::size_t>(id)];
        if (id != kEnds.end) right.ids.push_back(id);
      }
      right.normalized = normalized_score(right.score, std::ssize(right.ids) + 1, options);
      expect_same(found[k], {right});
    }
  }
}

TEST(Search, EqualsAPlainOneAlsoWhereItEndsEarly) {
  for (const uint64_t levels : {0U, 3U, 40U}) {  // 3: many ties
    for (const double penalty : {0., 0.6, 1.}) {
      for (const int64_t beam : {1, 2, 5, 7}) {
        for (const int64_t n_best : {int64_t{1}, (beam + 1) / 2, beam}) {
          SearchOptions options{beam, n_best, penalty, 11};
          TableDecoder table(13, levels);
          const auto found = search(table, sources_of(kSources), kEnds, options);
          for (std::size_t k = 0; k < kSources.size(); ++k) {
            expect_same(found[k], plain_search(table, 13, kSources[k], options));
          }
        }
      }
    }
  }
}

TEST(Search, ASentenceDoesNotDependOnTheOthers) {
  const SearchOptions options{4, 4, 0.6, 12};
  TableDecoder table(23);
  const auto together = search(table, sources_of(kSources), kEnds, options);
  int64_t rows = 0, longest = 0;
  for (std::size_t k = 0; k < kSources.size(); ++k) {
    TableDecoder alone(23);
    expect_same(search(alone, sources_of({kSources[k]}), kEnds, options)[0], together[k]);
    rows += alone.rows;
    longest = std::max(longest, alone.steps);
  }
  // Finished sentences are asked no more.
  EXPECT_EQ(table.rows, rows);
  EXPECT_EQ(table.steps, longest);
}

TEST(Search, IsDoneWhereNothingCanStillRankHigher) {
  TableDecoder first(30), all(30);
  SearchOptions options{6, 1, 0, 40};
  search(first, sources_of(kSources), kEnds, options);
  options.n_best = 6;
  search(all, sources_of(kSources), kEnds, options);
  EXPECT_LT(first.rows, all.rows);
}

TEST(Search, ManyAreSortedAndDifferent) {
  const SearchOptions options{8, 8, 1, 15};
  TableDecoder table(19, 5);
  for (const auto& found : search(table, sources_of(kSources), kEnds, options)) {
    ASSERT_EQ(found.size(), 8U);
    for (std::size_t i = 1; i < found.size(); ++i) {
      EXPECT_GE(found[i - 1].normalized, found[i].normalized);
      for (std::size_t j = 0; j < i; ++j) EXPECT_NE(found[j].ids, found[i].ids);
    }
  }
}

/// Gives what it is told to.
class FixedDecoder final : public StepDecoder {
 public:
  explicit FixedDecoder(std::vector<float> logits) : logits_(std::move(logits)) {}
  DecoderState begin(const Tokens& /*sources*/) override { return {}; }
  at::Tensor next(DecoderState* /*state*/, const at::Tensor& last) override {
    return at::from_blob(logits_.data(), {1, std::ssize(logits_)}, at::kFloat)
        .expand({last.numel(), -1});
  }

 private:
  std::vector<float> logits_;
};

TEST(Search, EndsAtTheMostTokensWhateverTheNetworkWants) {
  for (const int64_t most : {1, 4}) {
    for (const int64_t beam : {1, 2}) {
      FixedDecoder decoder({9, 10, -9, 8});  // <s> above all, never </s> by choice
      const auto found = search(decoder, sources_of({{5, 5}}), kEnds, {beam, beam, 0, most});
      ASSERT_EQ(std::ssize(found[0]), beam);
      EXPECT_EQ(found[0][0].ids, Sentence(static_cast<std::size_t>(most), 0));
      for (const Hypothesis& one : found[0]) EXPECT_EQ(std::ssize(one.ids), most);
    }
  }
  EXPECT_EQ(most_tokens_of(4, {}), 32);
  EXPECT_EQ(most_tokens_of(400, {}), 500);
}

TEST(Search, TiesGoToTheLowerIdThenToTheLowerHypothesis) {
  FixedDecoder decoder({1, 1, -50, 1, 1});  // all tokens equal; </s> never by choice
  const auto found = search(decoder, sources_of({{5}}), kEnds, {3, 3, 0, 2});
  // First 0, 3, 4; then 0 after each of them, the lower hypothesis first.
  ASSERT_EQ(found[0].size(), 3U);
  EXPECT_EQ(found[0][0].ids, (Sentence{0, 0}));
  EXPECT_EQ(found[0][1].ids, (Sentence{3, 0}));
  EXPECT_EQ(found[0][2].ids, (Sentence{4, 0}));
}

TEST(Search, NumbersThatAreNotFiniteAreRefused) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float infinity = std::numeric_limits<float>::infinity();
  for (const std::vector<float>& logits :
       {std::vector<float>{nan, nan, nan, nan}, {1, 2, 3, nan}, {1, 2, infinity, 4}}) {
    FixedDecoder decoder(logits);
    EXPECT_HOLDS(error_of(ExitCode::numbers,
                          [&] {
                            search(decoder, sources_of({{5}}), kEnds, {2, 1, 0, 3});
                          }),
                 "not finite");
  }
  FixedDecoder decoder({1, 1, 1});
  EXPECT_TRUE(search(decoder, sources_of({}), kEnds, {}).empty());
}

TEST(Search, OptionsOutOfRangeAreRefused) {
  check(SearchOptions{});
  const std::pair<SearchOptions, const char*> wrong[] = {
      {{0, 1, 0, 9}, "beam = 0: give 1 to"},
      {{3, 4, 0, 9}, "n-best = 4: give 1 to beam, 3"},
      {{3, 0, 0, 9}, "n-best = 0"},
      {{3, 1, -0.5, 9}, "length-penalty = -0.5: give 0 to"},
      {{3, 1, std::nan(""), 9}, "length-penalty = nan"},
      {{3, 1, 0, 0}, "most-tokens = 0"}};
  for (const auto& [options, message] : wrong) {
    EXPECT_HOLDS(error_of(ExitCode::settings, [&, o = options] { check(o); }), message);
  }
}

}  // namespace
}  // namespace bitstill
