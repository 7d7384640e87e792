#include "bitstill/infer/translate.hpp"

#include <algorithm>
#include <numeric>

#include "../data/sentences.hpp"
#include "bitstill/comm/agree.hpp"
#include "bitstill/comm/thread_world.hpp"
#include "table_decoder.hpp"

namespace bitstill {
namespace {

VocabularyPair trained() {
  std::vector<std::string_view> sources, targets;
  const std::vector<MadePair> pairs = made_pairs(200, 3);
  for (const MadePair& pair : pairs) {
    sources.push_back(pair.source);
    targets.push_back(pair.target);
  }
  const auto make = [](const std::vector<std::string_view>& sentences) {
    return std::make_shared<const Vocabulary>(
        train_vocabulary(parse_vocabulary_spec("bpe:90", "--vocabulary"), sentences));
  };
  return {make(sources), make(targets)};
}

std::vector<std::vector<Translation>> translated(const VocabularyPair& vocabularies,
                                                 const std::vector<std::string>& lines,
                                                 const TranslateOptions& options, int world) {
  std::vector<std::vector<Translation>> result;
  run_as_ranks(world, [&](Communicator& comm) {
    TableDecoder decoder(vocabularies.target->size());
    const auto own = translate(decoder, vocabularies, lines, options, comm);
    if (comm.rank() == 0) {
      result = own;
    } else {
      EXPECT_TRUE(own.empty());
    }
  });
  return result;
}

void expect_same(const std::vector<std::vector<Translation>>& got,
                 const std::vector<std::vector<Translation>>& right) {
  ASSERT_EQ(got.size(), right.size());
  for (std::size_t i = 0; i < got.size(); ++i) {
    ASSERT_EQ(got[i].size(), right[i].size()) << i;
    for (std::size_t k = 0; k < got[i].size(); ++k) {
      EXPECT_EQ(got[i][k].text, right[i][k].text) << i;
      EXPECT_EQ(got[i][k].score, right[i][k].score) << i;
      EXPECT_EQ(got[i][k].normalized, right[i][k].normalized) << i;
    }
  }
}

TEST(Translate, InOrderAndEqualForEveryWorldSizeAndBatch) {
  const VocabularyPair vocabularies = trained();
  std::vector<std::string> lines;
  for (const MadePair& pair : made_pairs(37, 8)) lines.push_back(pair.source);
  lines.insert(lines.begin() + 5, "");
  lines.emplace_back("  ");
  TranslateOptions options;
  options.search = {3, 2, 0.6, 12};
  options.batch_tokens = 150;
  const auto alone = translated(vocabularies, lines, options, 1);
  ASSERT_EQ(alone.size(), 39U);
  for (const int world : {2, 3, 7}) {
    expect_same(translated(vocabularies, lines, options, world), alone);
  }
  options.batch_tokens = 1;  // one by one
  expect_same(translated(vocabularies, lines, options, 2), alone);
  for (std::size_t i = 0; i < lines.size(); ++i) {
    if (i == 5 || i == 38) {  // not asked about
      ASSERT_EQ(alone[i].size(), 1U);
      EXPECT_EQ(alone[i][0].text, "");
      EXPECT_EQ(alone[i][0].score, 0);
      continue;
    }
    // What the search alone says of this line.
    ASSERT_EQ(alone[i].size(), 2U);
    const std::vector<int32_t> ids = vocabularies.source->encode(lines[i]);
    Batch batch;
    batch.tokens = ids;
    batch.lengths = {{static_cast<int32_t>(ids.size()), 0}};
    const TargetEnds ends{vocabularies.target->begin(), vocabularies.target->end()};
    TableDecoder decoder(vocabularies.target->size());
    const auto found = search(decoder, to_tokens(batch, ends, at::kCPU), ends, options.search)[0];
    for (std::size_t k = 0; k < 2; ++k) {
      EXPECT_EQ(alone[i][k].text, vocabularies.target->decode(found[k].ids));
      EXPECT_EQ(alone[i][k].score, found[k].score);
    }
  }
  EXPECT_TRUE(translated(vocabularies, {}, options, 2).empty());
  EXPECT_EQ(translated(vocabularies, {""}, options, 2)[0][0].text, "");
}

TEST(Translate, BatchesAreOfLikeLengthsWithinTheBounds) {
  std::vector<int64_t> lengths;
  RandomStream stream(5, StreamPurpose::split);
  for (int i = 0; i < 500; ++i) lengths.push_back(static_cast<int64_t>(stream.below(40)));
  lengths[77] = 5000;
  TranslateOptions options;
  options.search.beam = 5;
  options.batch_tokens = 2000;
  options.batch_rows = 100;
  std::vector<int64_t> seen;
  int64_t before = 5000;
  for (const auto& batch : translation_batches(lengths, options)) {
    const int64_t longest = lengths[static_cast<std::size_t>(batch.front())];
    EXPECT_LE(std::ssize(batch) * 5, 100);
    if (batch.size() > 1) {
      EXPECT_LE(std::ssize(batch) * 5 * longest, 2000);
    }
    for (std::size_t k = 0; k < batch.size(); ++k) {
      const int64_t length = lengths[static_cast<std::size_t>(batch[k])];
      EXPECT_LE(length, before);
      if (length == before && k > 0) {
        EXPECT_LT(batch[k - 1], batch[k]);
      }
      before = length;
      seen.push_back(batch[k]);
    }
  }
  std::sort(seen.begin(), seen.end());
  std::vector<int64_t> right;
  for (int64_t i = 0; i < 500; ++i) {
    if (lengths[static_cast<std::size_t>(i)] > 0) right.push_back(i);
  }
  EXPECT_EQ(seen, right);
}

/// Its third answer is no number.
class FailingDecoder final : public StepDecoder {
 public:
  DecoderState begin(const Tokens& sources) override { return table_.begin(sources); }
  at::Tensor next(DecoderState* state, const at::Tensor& last) override {
    at::Tensor logits = table_.next(state, last);
    return table_.steps == 3 ? logits.fill_(std::nan("")) : logits;
  }

 private:
  TableDecoder table_{90};
};

TEST(Translate, ARankThatFailsEndsAll) {
  const VocabularyPair vocabularies = trained();
  run_as_ranks(3, [&](Communicator& comm) {
    TableDecoder good(90);
    FailingDecoder bad;
    StepDecoder& decoder = comm.rank() == 1 ? static_cast<StepDecoder&>(bad) : good;
    TranslateOptions options;
    options.batch_tokens = 1;
    const std::string message = error_of(ExitCode::numbers, [&] {
      translate(decoder, vocabularies, {"dog", "house", "river", "fox"}, options, comm);
    });
    EXPECT_HOLDS(message, "rank 1: ");
    EXPECT_HOLDS(message, "not finite");
  });
}

TEST(Translate, LinesOfAText) {
  using Lines = std::vector<std::string>;
  EXPECT_EQ(sentence_lines("", "x"), Lines());
  EXPECT_EQ(sentence_lines("\n", "x"), Lines{""});
  EXPECT_EQ(sentence_lines("a\n\nb", "x"), (Lines{"a", "", "b"}));
  EXPECT_EQ(sentence_lines("\xEF\xBB\xBFGrün \r\nb\r\n\r\n", "x"), (Lines{"Grün ", "b", ""}));
  const auto refusal = [](const std::string& text) {
    return error_of(ExitCode::data, [&] { sentence_lines(text, "in.txt"); });
  };
  EXPECT_HOLDS(refusal("a\nb\nGr\xFCn\n"), "in.txt, line 3: a line without valid UTF-8");
  EXPECT_HOLDS(refusal(std::string("a\0b", 3)), "in.txt, line 1: a line with a NUL byte");
  EXPECT_HOLDS(refusal("a\n" + std::string(1'000'001, 'x')), "in.txt, line 2: a line over 1 MB");
  EXPECT_EQ(sentence_lines(std::string(1'000'000, 'x') + "\r\n", "x").size(), 1U);
}

}  // namespace
}  // namespace bitstill
