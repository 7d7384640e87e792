// Random damage to a small folder of shards: refused, or without effect; never anything else.
#include <algorithm>

#include "bitstill/data/inspect.hpp"
#include "data_fixture.hpp"

namespace bitstill {
namespace {

/// A flipped byte, a truncation, a longer file or a stretch of zeros.
std::string damaged(std::string bytes, RandomStream* stream) {
  const std::size_t at = stream->below(bytes.size());
  switch (stream->below(5)) {
    case 0:
      return bytes.substr(0, at);
    case 1:
      return bytes + std::string(1 + stream->below(9), static_cast<char>(stream->next()));
    case 2:
      for (std::size_t i = at; i < std::min(bytes.size(), at + 16); ++i) bytes[i] = 0;
      return bytes;
    default:
      bytes[at] = static_cast<char>(bytes[at] ^ (1 + stream->below(255)));
      return bytes;
  }
}

TEST(Mutations, NeverCrashOrGiveWrongRows) {
  const ScratchFolder scratch;
  const SmallSet set(scratch / "set");
  std::vector<std::string> files;
  for (const auto& file : std::filesystem::directory_iterator(scratch / "set")) {
    files.push_back(file.path().string());
  }
  std::sort(files.begin(), files.end());
  const std::string fingerprint = Dataset(scratch / "set").index().fingerprint;
  int refused = 0, harmless = 0;
  for (int round = 0; round < 600; ++round) {
    RandomStream stream(7, StreamPurpose::split, static_cast<uint64_t>(round));
    const std::string& path = files[static_cast<std::size_t>(round) % files.size()];
    const std::string before = read_file(path, ExitCode::data);
    const std::string after = damaged(before, &stream);
    put_file(path, after);
    try {
      const Dataset dataset(scratch / "set");
      for (int s = 0; s < kSplits; ++s) {
        ASSERT_EQ(read_all(dataset, static_cast<Split>(s)), set.rows[s]) << path << " " << round;
      }
      ASSERT_EQ(dataset.index().classes.size(), 3U);
      ASSERT_TRUE(after == before || !path.ends_with(".h5")) << "damage in " << path << " unseen";
      ++harmless;
    } catch (const Error& error) {
      ASSERT_EQ(static_cast<int>(error.code()), static_cast<int>(ExitCode::data)) << error.what();
      ++refused;
    }
    put_file(path, before);
  }
  // What is harmless: white space at the end of index.json, and zeros where zeros were.
  EXPECT_GT(refused, 500);
  EXPECT_GT(harmless, 0);
  EXPECT_EQ(Dataset(scratch / "set").index().fingerprint, fingerprint);
  EXPECT_TRUE(verify_shards(scratch / "set", Place{}).empty());
}

}  // namespace
}  // namespace bitstill
