// Files that say of themselves that they are larger than any of their kind: refused before their
// bytes are taken into memory. The files here are sparse.
#include <cstring>
#include <filesystem>

#include "../../src/data/examined_images.hpp"
#include "bitstill/base/sha256.hpp"
#include "bitstill/data/inspect.hpp"
#include "bitstill/data/vocabulary.hpp"
#include "sentences.hpp"

namespace bitstill {
namespace {

void put_sparse(const std::string& path, uint64_t bytes) {
  put_file(path, "");
  std::filesystem::resize_file(path, bytes);
}

TEST(Bounds, ARowIsNoLargerThanAReaderTakes) {
  const ScratchFolder scratch;
  ShardLayout layout;
  layout.rows = 1;
  layout.content = 4096;
  layout.content_bytes = kMostRowBytes + 1;
  layout.offsets = 8;
  layout.labels = 64;
  layout.bytes = layout.content + layout.content_bytes;
  ASSERT_TRUE(is_sound(layout));
  std::string head(24, '\0');
  std::memcpy(&head[16], &layout.content_bytes, 8);
  put_file(scratch / "shard.h5", head);
  std::filesystem::resize_file(scratch / "shard.h5", static_cast<uint64_t>(layout.bytes));
  const RawFile file = RawFile::open(scratch / "shard.h5");
  EXPECT_HOLDS(error_of(ExitCode::data, [&] { read_offsets(file, layout); }),
               "row 0: its bytes are said to be 0 to 268435457");
}

TEST(Bounds, AFrameIsNoLargerThanFramesAre) {
  const ScratchFolder scratch;
  const SmallSet set(scratch / "set");
  ShardIndex index = read_index(scratch / "set");
  index.shards[0][0].layout.bytes = int64_t{1} << 40;  // a sparse file would be hashed for hours
  EXPECT_HOLDS(error_of(ExitCode::data, [&] { parse_index(index_text(index), "index.json"); }),
               "do not fit");
}

TEST(Bounds, RowSumsAreNoMoreThanTheIndexHasRows) {
  const ScratchFolder scratch;
  const SmallSet set(scratch / "set");
  std::filesystem::resize_file(scratch / "set/rows.crc32c", uint64_t{1} << 31);
  const char* const said = "rows.crc32c: holds more than the 112 B";
  EXPECT_HOLDS(error_of(ExitCode::data, [&] { verify_shards(scratch / "set", Place{}); }), said);
  EXPECT_HOLDS(error_of(ExitCode::data, [&] { Dataset{scratch / "set"}; }), said);
}

TEST(Bounds, AVocabularyIsNoLargerThanOneIs) {
  const ScratchFolder scratch;
  put_sparse(scratch / "large.model", kMostModelBytes + 1);
  TextOptions options = text_options(put_pairs(scratch / "x", made_pairs(60, 12)), scratch / "out");
  options.vocabulary = scratch / "large.model";
  EXPECT_HOLDS(error_of(ExitCode::data, [&] { convert_text(options); }),
               "large.model: holds more than");
}

/// examined.bin with any content, whose own SHA-256 is right.
class Examined : public testing::Test {
 protected:
  bool load(const std::string& content) {
    put_file(scratch_ / "examined.bin", key_ + sha256_hex(content) + content);
    return images_.load(scratch_.path(), key_);
  }

  const std::string key_ = std::string(64, 'k');
  const ScratchFolder scratch_;
  ExaminedImages images_ = ExaminedImages(2);
};

TEST_F(Examined, ImagesAreNotReadBeyondTheFile) {
  constexpr std::size_t kImages = 2 * 32, kSums = 9 * 8;
  EXPECT_TRUE(load(std::string(kImages + kSums, '\1')));
  for (const std::size_t bytes : {kImages + kSums - 1, kImages, std::size_t{0}}) {
    EXPECT_FALSE(load(std::string(bytes, '\1'))) << bytes;
  }
  EXPECT_TRUE(load(std::string(kImages + kSums, '\1') + "a: damaged\nb: cut"));
  EXPECT_EQ(images_.unreadable, (std::vector<std::string>{"a: damaged", "b: cut"}));
}

}  // namespace
}  // namespace bitstill
