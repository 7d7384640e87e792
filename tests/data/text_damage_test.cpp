// Folders of token shards that were changed: refused by name, or without effect.
#include <algorithm>
#include <cstring>

#include "bitstill/base/crc32c.hpp"
#include "bitstill/base/sha256.hpp"
#include "bitstill/data/inspect.hpp"
#include "bitstill/data/vocabulary.hpp"
#include "damage.hpp"
#include "sentences.hpp"

namespace bitstill {
namespace {

class DamagedText : public testing::Test {
 protected:
  DamagedText() {
    convert_text(text_options(put_pairs(scratch_ / "x", made_pairs(60, 12)), folder_));
  }
  std::string read_error() {
    return error_of(ExitCode::data, [&] { read_batch(Dataset(folder_), Split::train, {0, 1, 2}); });
  }
  std::string defects() const {
    std::string all;
    for (const Defect& defect : verify_shards(folder_, Place{})) {
      all += defect.file + ": " + defect.what + "\n";
    }
    return all;
  }

  const ScratchFolder scratch_;
  const std::string folder_ = scratch_ / "out";
};

TEST_F(DamagedText, AChangedTokenOrModelIsFound) {
  const ShardIndex index = read_index(folder_);
  flip_byte(folder_ + "/train-00000.h5",
            static_cast<std::size_t>(index.shards[0][0].layout.content));
  flip_byte(folder_ + "/vocabulary.model", 200);
  EXPECT_HOLDS(read_error(), "train-00000.h5, row 0: its bytes were changed");
  EXPECT_HOLDS(defects(), "train-00000.h5: changed rows: 0");
  EXPECT_HOLDS(defects(), "vocabulary.model: ");
  EXPECT_HOLDS(error_of(ExitCode::data, [&] { read_vocabulary(folder_, index.summary, 0); }),
               "its SHA-256 differs");
}

TEST_F(DamagedText, IdsOutOfRangeAreNamed) {
  ShardIndex index = read_index(folder_);
  index.summary.vocabularies[0].pieces = 5;
  put_file(folder_ + "/index.json", index_text(index));
  EXPECT_HOLDS(read_error(), "is out of range, vocabulary.model has 5 pieces");
  EXPECT_HOLDS(defects(), "has 80 pieces, the index says 5");
}

TEST_F(DamagedText, ALengthOutOfRangeIsNamed) {
  ShardIndex index = read_index(folder_);
  const ShardLayout& layout = index.shards[0][0].layout;
  std::string shard = read_file(folder_ + "/train-00000.h5", ExitCode::data);
  const int64_t wrong = 1000;
  std::memcpy(&shard[static_cast<std::size_t>(layout.labels)], &wrong, sizeof wrong);
  put_file(folder_ + "/train-00000.h5", shard);
  int64_t end = 0;
  std::memcpy(&end, &shard[static_cast<std::size_t>(layout.offsets + 8)], sizeof end);
  std::vector<uint32_t> sums = read_row_sums(folder_, index);
  sums[0] = crc32c(
      &wrong, sizeof wrong,
      crc32c(&shard[static_cast<std::size_t>(layout.content)], static_cast<std::size_t>(end)));
  const std::string bytes(reinterpret_cast<const char*>(sums.data()), sums.size() * 4);
  put_file(folder_ + "/" + kRowSumsFile, bytes);
  index.row_sums_sha256 = sha256_hex(bytes);
  put_file(folder_ + "/index.json", index_text(index));
  EXPECT_HOLDS(read_error(), "row 0: its source of 1000 tokens is out of range");
  EXPECT_HOLDS(error_of(ExitCode::data, [&] { Dataset(folder_).lengths(Split::train); }),
               "row 0: its lengths were changed");
}

TEST_F(DamagedText, AnIndexThatContradictsItselfIsRefused) {
  const ShardIndex good = read_index(folder_);
  const auto refusal = [&](const auto& change) {
    ShardIndex index = good;
    change(index);
    return error_of(ExitCode::data, [&] { parse_index(index_text(index), "index.json"); });
  };
  EXPECT_HOLDS(refusal([](ShardIndex& i) { i.summary.sentences[0].source_tokens += 1; }),
               "do not take");
  EXPECT_HOLDS(refusal([](ShardIndex& i) { i.summary.vocabularies.clear(); }), "vocabulary");
  EXPECT_HOLDS(refusal([](ShardIndex& i) { i.summary.vocabularies[0].pieces = 0; }), "0 pieces");
  EXPECT_HOLDS(refusal([](ShardIndex& i) { i.summary.vocabularies[0].file = "../x"; }),
               "is not a plain file name");
  EXPECT_HOLDS(refusal([](ShardIndex& i) { i.summary.count[0] += 1; }), "differ");
}

/// All that a folder gives to those who read it.
struct Held {
  std::array<Batch, kSplits> batches;
  std::string vocabulary;
};

Held read_held(const std::string& folder) {
  const Dataset dataset(folder);
  Held held{{}, read_vocabulary(folder, dataset.index(), 0).bytes()};
  for (std::size_t s = 0; s < kSplits; ++s) {
    const auto split = static_cast<Split>(s);
    std::vector<int64_t> rows(static_cast<std::size_t>(dataset.size(split)));
    std::iota(rows.begin(), rows.end(), int64_t{0});
    held.batches[s] = read_batch(dataset, split, rows);
    EXPECT_EQ(dataset.lengths(split), held.batches[s].lengths);
  }
  return held;
}

TEST_F(DamagedText, RandomDamageNeverGivesOtherTokens) {
  const Held good = read_held(folder_);
  std::vector<std::string> files;
  for (const auto& file : std::filesystem::directory_iterator(folder_)) {
    files.push_back(file.path().string());
  }
  std::sort(files.begin(), files.end());
  const auto rounds = static_cast<uint64_t>(mutations(200));
  uint64_t refused = 0;
  for (uint64_t round = 0; round < rounds; ++round) {
    RandomStream stream(9, StreamPurpose::split, round);
    const std::string& path = files[round % files.size()];
    const std::string before = read_file(path, ExitCode::data);
    flip_byte(path, stream.below(before.size()), static_cast<uint8_t>(1 + stream.below(255)));
    try {
      const Held held = read_held(folder_);
      ASSERT_EQ(held.vocabulary, good.vocabulary) << path << ", round " << round;
      for (std::size_t s = 0; s < kSplits; ++s) {
        ASSERT_EQ(held.batches[s].tokens, good.batches[s].tokens) << path << ", round " << round;
        ASSERT_EQ(held.batches[s].lengths, good.batches[s].lengths) << path << ", round " << round;
      }
    } catch (const Error& error) {
      ASSERT_EQ(static_cast<int>(error.code()), static_cast<int>(ExitCode::data)) << error.what();
      ++refused;
    }
    put_file(path, before);
  }
  EXPECT_GT(refused, rounds * 19 / 20);
  EXPECT_EQ(defects(), "");
}

}  // namespace
}  // namespace bitstill
