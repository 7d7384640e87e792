#include "bitstill/base/text.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <regex>

#include "bitstill/base/file.hpp"
#include "bitstill/base/sha256.hpp"
#include "bitstill/base/timer.hpp"
#include "scratch_folder.hpp"
#include "thrown_error.hpp"

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

// Comparing it letter by letter would take minutes.
TEST(Text, AVeryLongWordIsNearToNothing) {
  const std::vector<std::string> known(300, "section.setting_of_some_letters");
  EXPECT_EQ(nearest_name(std::string(std::size_t{1} << 24, 'x'), known), "");
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

TEST(Text, ShowsWhatCouldHide) {
  EXPECT_EQ(visible("plain ä € 😀 C:\\n"), "plain ä € 😀 C:\\n");
  EXPECT_EQ(visible(std::string("a\nb\r\tc\0d\x1B[2Je\x7F", 14)), R"(a\nb\r\tc\x00d\x1b[2Je\x7f)");
  EXPECT_EQ(visible("\u0085|\u2028|\u202Egpj.exe|\u2066|\u200F|\uFEFF"),
            R"(\x85|\u2028|\u202egpj.exe|\u2066|\u200f|\ufeff)");
  EXPECT_EQ(visible("\u200D\u2027\u202F\U0010FFFF"), "\u200D\u2027\u202F\U0010FFFF");
}

TEST(Text, ShowsBytesThatAreNoUtf8) {
  EXPECT_EQ(visible("\xFF|\x80|\xC3|\xC0\xAF"), R"(\xff|\x80|\xc3|\xc0\xaf)");
  EXPECT_EQ(visible("\xE0\x9F\xBF|\xED\xA0\x80|\xF0\x8F\xBF\xBF|\xF4\x90\x80\x80|\xE2\x82"),
            R"(\xe0\x9f\xbf|\xed\xa0\x80|\xf0\x8f\xbf\xbf|\xf4\x90\x80\x80|\xe2\x82)");
  std::string all;
  for (int c = 0; c < 256; ++c) all += static_cast<char>(c);
  const std::string shown = visible(all);
  EXPECT_EQ(visible(shown), shown);
}

TEST(Text, CutsTheMiddleOfALongLine) {
  EXPECT_EQ(message_line(std::string(400, 'x')), std::string(400, 'x'));
  std::string name;
  for (int i = 0; i < 500; ++i) name += "ü";
  const std::string line = message_line("shards/" + name + ": cannot open; name another folder");
  EXPECT_TRUE(line.starts_with("shards/ü")) << line;
  EXPECT_TRUE(line.ends_with("ü: cannot open; name another folder")) << line;
  EXPECT_NE(line.find("ü ... ü"), std::string::npos) << line;
  EXPECT_EQ(visible(line), line);  // no character is torn
  EXPECT_EQ(std::count_if(line.begin(), line.end(), [](char c) { return (c & 0xC0) != 0x80; }),
            400);
  EXPECT_EQ(message_line(line), line);
  EXPECT_EQ(message_line(std::string(200, '\n')).find('\n'), std::string::npos);
}

TEST(Text, WritesTimesForPeople) {
  EXPECT_EQ(human_time(0), "0:00");
  EXPECT_EQ(human_time(59.4), "0:59");
  EXPECT_EQ(human_time(3599.4), "59:59");
  EXPECT_EQ(human_time(3599.6), "1:00:00");
  EXPECT_EQ(human_time(11105), "3:05:05");
  EXPECT_EQ(human_time(-1), "?");
  EXPECT_EQ(human_time(1e30), "?");
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

TEST(Sha256, OfAFileIsThatOfItsBytes) {
  const ScratchFolder scratch;
  for (const std::size_t size : {0, 1, 1 << 20, (1 << 20) + 1, 2500000}) {
    std::string bytes(size, '\0');
    for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<char>(i * i >> 7);
    replace_file(scratch / "x", bytes);
    EXPECT_EQ(sha256_of_file(scratch / "x", ExitCode::data), sha256_hex(bytes)) << size;
  }
  EXPECT_HOLDS(error_of(ExitCode::data, [&] { sha256_of_file(scratch / "y", ExitCode::data); }),
               "No such file");
}

TEST(Sha256, OfSamplesTellsFilesApart) {
  const ScratchFolder scratch;
  const auto of = [&](const std::string& bytes) {
    replace_file(scratch / "x", bytes);
    return sha256_of_samples(scratch / "x", ExitCode::model);
  };
  for (const std::size_t size : {1, 4096, 4097, 1000000}) {
    const std::string bytes(size, 'a');
    const std::string own = of(bytes);
    EXPECT_EQ(own, of(bytes));
    EXPECT_NE(own, of(bytes + 'a'));
    // Both ends and what lies at every 63rd part of it.
    for (const std::size_t at :
         {std::size_t{0}, size - 1, size < 4096 ? 0 : (size - 4096) / 63 * 7}) {
      std::string changed = bytes;
      changed[at] = 'b';
      EXPECT_NE(own, of(changed)) << at << " of " << size;
    }
  }
  EXPECT_EQ(of("").size(), 64u);
  EXPECT_HOLDS(
      error_of(ExitCode::model, [&] { sha256_of_samples(scratch / "y", ExitCode::model); }),
      "No such file");
}

}  // namespace
}  // namespace bitstill
