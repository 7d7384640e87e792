#include "bitstill/base/text.hpp"

#include <gtest/gtest.h>

#include <regex>

#include "bitstill/base/sha256.hpp"
#include "bitstill/base/timer.hpp"

namespace bitstill {
namespace {

TEST(Text, ListsNames) {
  EXPECT_EQ(list_names({}), "");
  EXPECT_EQ(list_names({"a"}), "a");
  EXPECT_EQ(list_names({"a", "b"}), "a and b");
  EXPECT_EQ(list_names({"a", "b", "c"}), "a, b and c");
  EXPECT_EQ(list_names({"a", "b", "c"}, 2), "a, b and 1 more");
  EXPECT_EQ(list_names({"a", "b", "c"}, 0), "3");
}

TEST(Text, FindsTheNearestName) {
  const std::vector<std::string> known = {"quant.bits", "quant.bucket", "train.epochs"};
  EXPECT_EQ(nearest_name("quant.bit", known), "quant.bits");
  EXPECT_EQ(nearest_name("train.epoch", known), "train.epochs");
  EXPECT_EQ(nearest_name("qaunt.bits", known), "quant.bits");
  EXPECT_EQ(nearest_name("no.such.key", known), "");
  EXPECT_EQ(nearest_name("x", {}), "");
  EXPECT_EQ(nearest_name("", {"abc", "ab"}), "ab");
}

TEST(Text, WritesBytesForPeople) {
  EXPECT_EQ(human_bytes(0), "0 B");
  EXPECT_EQ(human_bytes(999), "999 B");
  EXPECT_EQ(human_bytes(1000), "1.0 kB");
  EXPECT_EQ(human_bytes(999960), "1.0 MB");
  EXPECT_EQ(human_bytes(12345678), "12.3 MB");
  EXPECT_EQ(human_bytes(2.5e18), "2500.0 PB");
}

TEST(Text, ConcatenatesAnything) {
  EXPECT_EQ(concat("row ", 3, " of ", 2.5, 'x'), "row 3 of 2.5x");
}

TEST(Timer, WritesUtc) {
  EXPECT_TRUE(std::regex_match(utc_now(), std::regex(R"(20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ)")));
}

TEST(Sha256, KnownAnswers) {  // FIPS 180-2
  EXPECT_EQ(sha256_hex(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(sha256_hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  Sha256 hash;
  const std::string piece(999, 'a');
  for (int i = 0; i < 1001; ++i) hash.add(piece.data(), piece.size());
  hash.add("a", 1);  // 1,000,000 in all
  EXPECT_EQ(hash.hex(), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

}  // namespace
}  // namespace bitstill
