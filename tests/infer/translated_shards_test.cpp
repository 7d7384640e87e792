#include "bitstill/infer/translated_shards.hpp"

#include <filesystem>

#include "../data/sentences.hpp"
#include "bitstill/comm/thread_world.hpp"
#include "bitstill/data/inspect.hpp"
#include "table_decoder.hpp"

namespace bitstill {
namespace {

class TranslatedShardsTest : public testing::Test {
 protected:
  TranslatedShardsTest() {
    TextOptions options = text_options(put_pairs(scratch_ / "x", made_pairs(60, 12)), folder_);
    options.vocabulary = "bpe:90,bpe:85";
    options.validation = options.test = 5;
    convert_text(options);
  }

  /// Parts of 7 rows, `parts` of them before it is stopped.
  TranslatedShards translated(const std::string& out, int parts, int world, const Json& made_by) {
    const Dataset dataset(folder_);
    const auto side = [&](std::size_t number) {
      return std::make_shared<const Vocabulary>(read_vocabulary(folder_, dataset.index(), number));
    };
    const VocabularyPair vocabularies{side(0), side(1)};
    TranslatedShards result;
    run_as_ranks(world, [&](Communicator& comm) {
      TableDecoder decoder(vocabularies.target->size());
      TranslatedShardsOptions options;
      options.translate.search = {3, 3, 0.6, 12};
      options.out = out;
      options.interpolate = true;
      options.part_rows = 7;
      options.made_by = made_by;
      options.stop_requested = [left = parts]() mutable { return left-- == 0; };
      const TranslatedShards found =
          translate_shards(decoder, vocabularies, dataset, options, comm);
      if (comm.rank() == 0) result = found;
    });
    return result;
  }

  void expect_same(const std::string& one, const std::string& other) {
    for (const char* const file : {"/index.json", "/train-00000.h5", "/test-00000.h5"}) {
      EXPECT_EQ(read_file(one + file, ExitCode::data), read_file(other + file, ExitCode::data))
          << file;
    }
  }

  const ScratchFolder scratch_;
  const std::string folder_ = scratch_ / "out", whole_ = scratch_ / "whole",
                    other_ = scratch_ / "other";
};

constexpr int kAll = 1000;

TEST_F(TranslatedShardsTest, StoppedBetweenPartsAndContinuedIsAsNeverStopped) {
  const TranslatedShards whole = translated(whole_, kAll, 1, {{"model", "a"}});
  EXPECT_EQ(whole.rows, 50);
  EXPECT_EQ(whole.taken_over, 0);
  EXPECT_TRUE(verify_shards(whole_, Place{}).empty());
  EXPECT_NE(read_file(whole_ + "/train-00000.h5", ExitCode::data),
            read_file(folder_ + "/train-00000.h5", ExitCode::data));

  EXPECT_TRUE(translated(other_, 3, 2, {{"model", "a"}}).stopped);
  EXPECT_FALSE(std::filesystem::exists(other_));
  EXPECT_TRUE(translated(other_, 5, 1, {{"model", "a"}}).stopped);
  const TranslatedShards rest = translated(other_, kAll, 3, {{"model", "a"}});
  EXPECT_FALSE(rest.stopped);
  EXPECT_EQ(rest.taken_over, 35);
  EXPECT_EQ(rest.tokens, whole.tokens);
  EXPECT_EQ(rest.bleu.sums, whole.bleu.sums);
  EXPECT_FALSE(std::filesystem::exists(other_ + ".parts"));
  expect_same(whole_, other_);
}

TEST_F(TranslatedShardsTest, PartsOfAnotherModelAreMadeAgain) {
  EXPECT_TRUE(translated(other_, 3, 1, {{"model", "b"}}).stopped);
  EXPECT_EQ(translated(other_, kAll, 1, {{"model", "a"}}).taken_over, 0);
  translated(whole_, kAll, 1, {{"model", "a"}});
  expect_same(whole_, other_);
}

TEST_F(TranslatedShardsTest, ADamagedPartIsRefusedByName) {
  EXPECT_TRUE(translated(other_, 2, 1, {}).stopped);
  put_file(other_ + ".parts/7.json", R"({"made_by": null, "targets": [[1]]})");
  EXPECT_HOLDS(error_of(ExitCode::data, [&] { translated(other_, kAll, 1, {}); }),
               "other.parts/7.json is not what this command writes; remove it");
}

}  // namespace
}  // namespace bitstill
