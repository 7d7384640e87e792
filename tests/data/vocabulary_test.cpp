#include "bitstill/data/vocabulary.hpp"

#include <set>

#include "sentences.hpp"

namespace bitstill {
namespace {

std::vector<std::string_view> sides(const std::vector<MadePair>& pairs) {
  std::vector<std::string_view> sentences;
  for (const MadePair& pair : pairs) {
    sentences.push_back(pair.source);
    sentences.push_back(pair.target);
  }
  return sentences;
}

TEST(Vocabulary, SpeaksEveryKindAndComesBack) {
  const std::vector<MadePair> pairs = made_pairs(300, 1);
  for (const char* text : {"unigram:80", "bpe:150", "words:1000"}) {
    SCOPED_TRACE(text);
    const VocabularySpec spec = parse_vocabulary_spec(text, "--vocabulary");
    const Vocabulary vocabulary = train_vocabulary(spec, sides(pairs));
    if (spec.kind == VocabularyKind::words) {
      EXPECT_LE(vocabulary.size(), spec.pieces);
      EXPECT_GE(vocabulary.size(), 300);  // as many numbers are among them
    } else {
      EXPECT_EQ(vocabulary.size(), spec.pieces);
    }
    const std::set<int32_t> specials = {vocabulary.unknown(), vocabulary.begin(), vocabulary.end()};
    EXPECT_EQ(specials.size(), 3U);
    for (const MadePair& pair : pairs) {
      const std::vector<int32_t> ids = vocabulary.encode(pair.target);
      EXPECT_EQ(vocabulary.decode(ids), pair.target);
      for (const int32_t id : ids) {
        EXPECT_TRUE(id >= 0 && id < vocabulary.size() && !specials.contains(id)) << id;
      }
    }
    const std::vector<int32_t> unseen = vocabulary.encode("\u72ac");
    EXPECT_NE(std::find(unseen.begin(), unseen.end(), vocabulary.unknown()), unseen.end());
    EXPECT_TRUE(vocabulary.encode(" ").empty());
    EXPECT_EQ(Vocabulary(vocabulary.bytes(), "copy").encode(pairs[7].source),
              vocabulary.encode(pairs[7].source));
  }
}

TEST(Vocabulary, TrainingIsDeterministic) {
  const std::vector<MadePair> pairs = made_pairs(300, 2);
  for (const char* text : {"unigram:80", "bpe:150", "words:200"}) {
    const VocabularySpec spec = parse_vocabulary_spec(text, "--vocabulary");
    EXPECT_EQ(train_vocabulary(spec, sides(pairs)).bytes(),
              train_vocabulary(spec, sides(pairs)).bytes());
  }
}

TEST(Vocabulary, RefusesWhatCannotBe) {
  const auto refusal = [](const std::string& text) {
    return error_of(ExitCode::settings, [&] { parse_vocabulary_spec(text, "--vocabulary"); });
  };
  for (const char* text : {"unigram", "unigrams:8000", ""}) {
    EXPECT_HOLDS(refusal(text), "give unigram:N, bpe:N or words:N");
  }
  for (const char* text :
       {"unigram:", "bpe:3", "bpe:-8", "words:2e3", "words:9999999999999999999"}) {
    EXPECT_HOLDS(refusal(text), "for example unigram:8000");
  }
  EXPECT_EQ(parse_vocabulary_spec("a/b", "x").file, "a/b");
  const std::vector<MadePair> pairs = made_pairs(30, 3);
  const std::string many = error_of(ExitCode::settings, [&] {
    train_vocabulary(parse_vocabulary_spec("unigram:5000", "x"), sides(pairs));
  });
  EXPECT_HOLDS(many, "--vocabulary unigram:5000: ");
  EXPECT_HOLDS(many, "too high");
  error_of(ExitCode::settings,
           [&] { train_vocabulary(parse_vocabulary_spec("bpe:10", "x"), sides(pairs)); });
}

TEST(Vocabulary, ReadsNoOtherBytes) {
  const Vocabulary vocabulary =
      train_vocabulary(parse_vocabulary_spec("bpe:100", "x"), sides(made_pairs(50, 4)));
  const std::vector<uint8_t> noise = random_bytes(500, 5);
  for (const std::string& bytes : {std::string(), std::string("<html>no model</html>"),
                                   std::string(noise.begin(), noise.end()),
                                   vocabulary.bytes().substr(0, vocabulary.bytes().size() / 2)}) {
    EXPECT_HOLDS(error_of(ExitCode::data, [&] { Vocabulary(bytes, "x.model"); }),
                 "x.model: is no SentencePiece model");
  }
}

}  // namespace
}  // namespace bitstill
