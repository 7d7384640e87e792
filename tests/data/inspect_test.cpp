#include "bitstill/data/inspect.hpp"

#include "data_fixture.hpp"

namespace bitstill {
namespace {

TEST(Inspect, SaysWhatIsInTheFolder) {
  const ScratchFolder scratch;
  const SmallSet set(scratch / "set");
  const Json json = inspect_shards(scratch / "set");
  EXPECT_EQ(json["name"], "small");
  EXPECT_EQ(json["splits"]["train"]["rows"], 23);
  EXPECT_EQ(json["splits"]["train"]["shards"], 4);
  std::vector<int64_t> classes(3);
  for (const int64_t label : set.rows[0].labels) classes[label] += 1;
  EXPECT_EQ(json["splits"]["train"]["per_class"].get<std::vector<int64_t>>(), classes);
  EXPECT_EQ(json["splits"]["validation"]["rows"], 0);
  const std::string text = inspect_text(json);
  for (const char* part : {"small", "3x5x7", "bee", "by the test", "23 rows in 4 shards"}) {
    EXPECT_HOLDS(text, part);
  }
}

TEST(Verify, FindsEveryDamagedShardOnce) {
  const ScratchFolder scratch;
  const SmallSet set(scratch / "set");
  EXPECT_TRUE(verify_shards(scratch / "set", Place{}).empty());
  const ShardIndex index = read_index(scratch / "set");
  flip_byte(scratch / "set/train-00000.h5", 70);
  flip_byte(scratch / "set/train-00001.h5", index.shards[0][1].layout.content + 6 * 105);
  std::filesystem::remove(scratch / "set/train-00003.h5");
  std::filesystem::resize_file(scratch / "set/test-00000.h5", 100);
  for (const int world : {1, 2, 3, 9}) {
    std::string found;
    int defects = 0;
    for (int rank = 0; rank < world; ++rank) {
      Place place;
      place.rank = rank;
      place.world = world;
      for (const Defect& defect : verify_shards(scratch / "set", place)) {
        found += defect.file + ": " + defect.what + "\n";
        ++defects;
      }
    }
    EXPECT_EQ(defects, 4) << found;
    EXPECT_HOLDS(found, "train-00000.h5: changed outside");
    EXPECT_HOLDS(found, "train-00001.h5: changed rows: 6");
    EXPECT_HOLDS(found, "train-00003.h5: ");
    EXPECT_HOLDS(found, "test-00000.h5: holds 100 bytes");
  }
}

}  // namespace
}  // namespace bitstill
